#include "wall_time.h"

#define DAY_S 86400
#define YEAR_1_UNIX_S (-62135596800)   /* 0001-01-01T00:00:00Z */
#define YEAR_10000_UNIX_S 253402300800 /* 10000-01-01T00:00:00Z */
#define DAYS_FROM_MARCH_OF_0_TO_1970 719468
#define DAYS_OF_400_YEARS 146097
#define DAYS_OF_100_YEARS 36524
#define DAYS_OF_4_YEARS 1461
#define DAYS_OF_A_YEAR 365
#define DAYS_OF_5_MONTHS 153 /* from March to July, and from August to December */

typedef struct {
    uint32_t year, month, day;
} date_t;

/* How many whole spans of so many days, of which the fourth is a day longer. */
static uint32_t take(uint32_t *days, uint32_t span_days)
{
    uint32_t count = *days / span_days;
    count = count < 4 ? count : 3;
    *days -= count * span_days;
    return count;
}

/* Of the Gregorian calendar, by days since 1970, in the years 1 to 9999. Years begin in March here: then a leap day is
 * the last of its year, of its four years, and of its era of 400. */
static date_t date_of(int32_t since_1970_days)
{
    uint32_t days = (uint32_t)(since_1970_days + DAYS_FROM_MARCH_OF_0_TO_1970);
    uint32_t year = days / DAYS_OF_400_YEARS * 400;
    days %= DAYS_OF_400_YEARS;
    year += take(&days, DAYS_OF_100_YEARS) * 100;
    year += days / DAYS_OF_4_YEARS * 4; /* a century may end with a short one: there is no fifth day to find */
    days %= DAYS_OF_4_YEARS;
    year += take(&days, DAYS_OF_A_YEAR);

    uint32_t month = (5 * days + 2) / DAYS_OF_5_MONTHS; /* 0 is March */
    uint32_t day = days - (DAYS_OF_5_MONTHS * month + 2) / 5 + 1;
    return month < 10 ? (date_t){year, month + 3, day} : (date_t){year + 1, month - 9, day};
}

static char *digits(char *out, uint32_t value, uint32_t count)
{
    for (uint32_t i = count; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + count;
}

static char *field(char *out, uint32_t value, char behind)
{
    out = digits(out, value, 2);
    *out = behind;
    return out + 1;
}

size_t wall_time_print(int64_t unix_s, char out[WALL_TIME_CHARS + 1])
{
    if (unix_s < YEAR_1_UNIX_S || unix_s >= YEAR_10000_UNIX_S) {
        return 0;
    }
    int64_t since_year_1_s = unix_s - YEAR_1_UNIX_S; /* division of negative numbers rounds the wrong way */
    uint32_t second_of_day = (uint32_t)(since_year_1_s % DAY_S);
    date_t date = date_of((int32_t)(since_year_1_s / DAY_S + YEAR_1_UNIX_S / DAY_S));
    char *end = digits(out, date.year, 4);
    *end++ = '-';
    end = field(end, date.month, '-');
    end = field(end, date.day, 'T');
    end = field(end, second_of_day / 3600, ':');
    end = field(end, second_of_day / 60 % 60, ':');
    end = field(end, second_of_day % 60, 'Z');
    *end = '\0';
    return WALL_TIME_CHARS;
}

const char *wall_time_text(int64_t unix_s, const char *otherwise, char out[WALL_TIME_CHARS + 1])
{
    return unix_s != 0 && wall_time_print(unix_s, out) > 0 ? out : otherwise;
}
