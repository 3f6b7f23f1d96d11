/* What the launcher and a program that it runs say to each other. The launcher plays the boot loader (launcher/main.c):
 * a program is started as `program --launched ARGUMENTS…`, with the environment below, and says by its exit code what
 * is to follow. */
#pragma once

/* The program asks for a reboot: this plus a reboot_reason_t. The launcher picks the slot anew and starts it. Any other
 * end ends the launcher too, with the same code; but an image on trial that ends is a reset before it was confirmed. */
#define POSIX_EXIT_REBOOT 64
#define POSIX_EXIT_REBOOT_LAST 79

/* Of the launcher itself. */
#define POSIX_EXIT_NO_IMAGE 80 /* no slot has an image that can be started */
#define POSIX_EXIT_STORAGE 81  /* slots or otadata can't be read or written */
#define POSIX_EXIT_SIGNAL 128  /* plus the signal that ended the program */

/* In the program's environment. */
#define POSIX_BOOT_REASON "TDS_BOOT_REASON" /* a number of boot_reason_t; without it the power came */
#define POSIX_BOOT_SLOT "TDS_BOOT_SLOT"     /* 0 or 1: where it runs from */
#define POSIX_SLOTS "TDS_SLOTS"             /* the folder of the slots; SLOT_BYTES each unless the next one says so */
#define POSIX_SLOT_BYTES "TDS_SLOT_BYTES"
