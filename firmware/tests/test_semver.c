#include "core/semver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Of the page's own examples (SemVer 2.0.0, "Is there a suggested regular expression"), and a few of ours. */
static const char *const VALID[] = {
    "0.0.4",
    "1.2.3",
    "10.20.30",
    "1.1.2-prerelease+meta",
    "1.1.2+meta",
    "1.1.2+meta-valid",
    "1.0.0-alpha",
    "1.0.0-alpha.beta",
    "1.0.0-alpha.1",
    "1.0.0-alpha0.valid",
    "1.0.0-alpha.0valid",
    "1.0.0-rc.1+build.123",
    "1.2.3-SNAPSHOT-123",
    "2.0.0+build.1848",
    "1.0.0-alpha+beta",
    "1.2.3----RC-SNAPSHOT.12.9.1--.12",
    "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
    "999999999999999999.9999999.9",
    "1.0.0-0A.is.legal",
    "1.0.0-0",
    "1.0.0+00",
    "0.0.0",
};
static const char *const INVALID[] = {
    "",
    "1",
    "1.2",
    "1.2.3-0123",
    "1.2.3-0123.0123",
    "1.1.2+.123",
    "+invalid",
    "-invalid",
    "-invalid+invalid",
    "alpha",
    "alpha.beta",
    "1.0.0-alpha_beta",
    "1.0.0-alpha..",
    "1.0.0-alpha..1",
    "1.0.0-",
    "1.0.0+",
    "1.0.0-+a",
    "01.1.1",
    "1.01.1",
    "1.1.01",
    "1.2.3.DEV",
    "1.2-SNAPSHOT",
    "1.2.31.2.3",
    "1.2.3+a+b",
    "v1.2.3",
    " 1.2.3",
    "1.2.3 ",
    "1.2.3\n",
    "1..3",
    ".1.2.3",
    "1.2.",
    "1.2.3-\xC3\xA9",
    "1.2.3/4",
};

static void versions_of_semver_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(VALID) / sizeof(VALID[0]); i++) {
        if (!semver_is_valid(VALID[i])) {
            fail_msg("%s was refused", VALID[i]);
        }
    }
}

static void others_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(INVALID) / sizeof(INVALID[0]); i++) {
        if (semver_is_valid(INVALID[i])) {
            fail_msg("%s was taken", INVALID[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_of_semver_are_taken),
        cmocka_unit_test(others_are_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
