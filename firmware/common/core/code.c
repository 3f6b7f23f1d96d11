#include "code.h"
#include "ascii.h"
#include "bounds.h"

bool code_is_valid(const char *text, size_t len_bytes)
{
    if (len_bytes == 0 || len_bytes > CODE_MAX_CHARS || !ascii_is_letter_or_digit(text[0])) {
        return false;
    }
    for (size_t i = 1; i < len_bytes; i++) {
        if (!ascii_is_letter_or_digit(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-') {
            return false;
        }
    }
    return true;
}
