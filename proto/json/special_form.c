#include "proto/json/special_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NANOS_PER_SECOND 1000000000
#define SECONDS_PER_DAY  86400
#define TIMESTAMP_MIN    INT64_C(-62135596800) /* 0001-01-01T00:00:00Z */
#define TIMESTAMP_MAX    INT64_C(253402300799) /* 9999-12-31T23:59:59Z */
#define DURATION_MAX     INT64_C(315576000000) /* 10000 years */

struct seconds_and_nanos {
    int64_t seconds;
    int64_t nanos;
};

static bool read_pair(struct wire_reader r, struct seconds_and_nanos *out)
{
    struct wire_field f;
    *out = (struct seconds_and_nanos){0};
    while (wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            out->seconds = (int64_t)f.value;
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            out->nanos = (int32_t)(uint32_t)f.value;
        }
    }
    return r.ok;
}

/* Days since 1970 -> year, month, day of the Gregorian calendar, by years that begin in March. */
static void civil_date(int64_t days, unsigned *year, unsigned *month, unsigned *day)
{
    const int64_t z = days + 719468; /* since 0000-03-01 */
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    const int64_t day_of_era = z - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t march_month = (5 * day_of_year + 2) / 153;
    *day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1);
    *month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);
    *year = (unsigned)(year_of_era + era * 400 + (*month <= 2));
}

static int64_t days_since_1970(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400;
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year =
        (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static char *put_digits(char *at, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0;) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return at + digits;
}

/* 0, 3, 6 or 9 digits, as the other implementations write them. */
static char *put_fraction(char *at, uint64_t nanos)
{
    if (nanos == 0) {
        return at;
    }
    *at++ = '.';
    if (nanos % 1000000 == 0) {
        return put_digits(at, nanos / 1000000, 3);
    }
    return nanos % 1000 == 0 ? put_digits(at, nanos / 1000, 6) : put_digits(at, nanos, 9);
}

bool write_timestamp(struct wire_reader r, struct json_writer *out)
{
    struct seconds_and_nanos t;
    if (!read_pair(r, &t) || t.seconds < TIMESTAMP_MIN || t.seconds > TIMESTAMP_MAX ||
        t.nanos < 0 || t.nanos >= NANOS_PER_SECOND) {
        return false;
    }
    const int64_t days = (t.seconds - TIMESTAMP_MIN) / SECONDS_PER_DAY;
    const uint64_t second = (uint64_t)(t.seconds - TIMESTAMP_MIN - days * SECONDS_PER_DAY);
    unsigned year;
    unsigned month;
    unsigned day;
    civil_date(days + TIMESTAMP_MIN / SECONDS_PER_DAY, &year, &month, &day);

    char text[40];
    char *at = text;
    *at++ = '"';
    at = put_digits(at, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    at = put_fraction(at, (uint64_t)t.nanos);
    *at++ = 'Z';
    *at++ = '"';
    json_raw(out, text, (size_t)(at - text));
    return true;
}

bool write_duration(struct wire_reader r, struct json_writer *out)
{
    struct seconds_and_nanos t;
    if (!read_pair(r, &t) || t.seconds < -DURATION_MAX || t.seconds > DURATION_MAX ||
        t.nanos <= -NANOS_PER_SECOND || t.nanos >= NANOS_PER_SECOND ||
        (t.seconds > 0 && t.nanos < 0) || (t.seconds < 0 && t.nanos > 0)) {
        return false;
    }
    char text[40];
    char *at = text;
    *at++ = '"';
    if (t.seconds < 0 || t.nanos < 0) {
        *at++ = '-';
        t.seconds = -t.seconds;
        t.nanos = -t.nanos;
    }
    unsigned digits = 1;
    for (int64_t rest = t.seconds; rest >= 10; rest /= 10) {
        digits++;
    }
    at = put_digits(at, (uint64_t)t.seconds, digits);
    at = put_fraction(at, (uint64_t)t.nanos);
    *at++ = 's';
    *at++ = '"';
    json_raw(out, text, (size_t)(at - text));
    return true;
}

static bool is_small(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

/* start_time -> startTime */
static void write_mask_path(const uint8_t *path, size_t length, struct json_writer *out)
{
    size_t told = 0;
    for (size_t i = 0; i + 1 < length; i++) {
        if (path[i] == '_' && is_small(path[i + 1])) {
            const char big = (char)(path[i + 1] - 'a' + 'A');
            json_text_part(out, path + told, i - told);
            json_text_part(out, &big, 1);
            told = i + 2;
            i++;
        }
    }
    json_text_part(out, path + told, length - told);
}

bool write_field_mask(struct wire_reader r, struct json_writer *out)
{
    bool is_first = true;
    struct wire_field f;
    json_text_begin(out);
    while (wire_next(&r, &f)) {
        if (f.number != 1 || f.type != WIRE_BYTES) {
            continue;
        }
        if (!is_first) {
            json_text_part(out, ",", 1);
        }
        is_first = false;
        write_mask_path(f.bytes, f.length, out);
    }
    json_text_end(out);
    return r.ok;
}

int shortest_float(float value, char *out, size_t capacity)
{
    int length = 0;
    for (int digits = 6; digits <= 9; digits++) {
        length = snprintf(out, capacity, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value) {
            break;
        }
    }
    return length;
}

/* Reads exactly `digits` digits. */
static bool take_digits(const char **at, const char *end, unsigned digits, unsigned *value)
{
    *value = 0;
    if (end - *at < (ptrdiff_t)digits) {
        return false;
    }
    for (; digits > 0; digits--, (*at)++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *value = *value * 10 + (unsigned)(**at - '0');
    }
    return true;
}

static bool take_char(const char **at, const char *end, char c)
{
    if (*at == end || **at != c) {
        return false;
    }
    (*at)++;
    return true;
}

/* ".5" and up to nine digits; nothing is 0. */
static bool take_fraction(const char **at, const char *end, int32_t *nanos)
{
    *nanos = 0;
    if (!take_char(at, end, '.')) {
        return true;
    }
    unsigned digits = 0;
    int32_t value = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        if (++digits > 9) {
            return false;
        }
        value = value * 10 + (**at - '0');
    }
    for (unsigned i = digits; i < 9; i++) {
        value *= 10;
    }
    *nanos = value;
    return digits > 0;
}

/* "Z", "+01:00", "-05:30": seconds east of Greenwich. */
static bool take_offset(const char **at, const char *end, int64_t *offset)
{
    *offset = 0;
    if (take_char(at, end, 'Z') || take_char(at, end, 'z')) {
        return true;
    }
    const bool is_east = take_char(at, end, '+');
    unsigned hours;
    unsigned minutes;
    if ((!is_east && !take_char(at, end, '-')) || !take_digits(at, end, 2, &hours) ||
        !take_char(at, end, ':') || !take_digits(at, end, 2, &minutes) || hours > 23 ||
        minutes > 59) {
        return false;
    }
    *offset = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    *offset = is_east ? *offset : -*offset;
    return true;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

bool parse_timestamp(const char *text, size_t length, int64_t *seconds, int32_t *nanos)
{
    const char *at = text;
    const char *end = text + length;
    unsigned year;
    unsigned month;
    unsigned day;
    unsigned hour;
    unsigned minute;
    unsigned second;
    int64_t offset;
    if (!take_digits(&at, end, 4, &year) || !take_char(&at, end, '-') ||
        !take_digits(&at, end, 2, &month) || !take_char(&at, end, '-') ||
        !take_digits(&at, end, 2, &day) ||
        (!take_char(&at, end, 'T') && !take_char(&at, end, 't')) ||
        !take_digits(&at, end, 2, &hour) || !take_char(&at, end, ':') ||
        !take_digits(&at, end, 2, &minute) || !take_char(&at, end, ':') ||
        !take_digits(&at, end, 2, &second) || !take_fraction(&at, end, nanos) ||
        !take_offset(&at, end, &offset) || at != end) {
        return false;
    }
    if (year == 0 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
        hour > 23 || minute > 59 || second > 59) {
        return false;
    }
    *seconds = days_since_1970(year, month, day) * SECONDS_PER_DAY +
               (int64_t)(hour * 3600 + minute * 60 + second) - offset;
    return *seconds >= TIMESTAMP_MIN && *seconds <= TIMESTAMP_MAX;
}

bool parse_duration(const char *text, size_t length, int64_t *seconds, int32_t *nanos)
{
    const char *at = text;
    const char *end = text + length;
    const bool is_negative = take_char(&at, end, '-');
    const char *digits = at;
    int64_t value = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (*at - '0');
        if (value > DURATION_MAX) {
            return false;
        }
    }
    if (at == digits || !take_fraction(&at, end, nanos) || !take_char(&at, end, 's') || at != end) {
        return false;
    }
    *seconds = is_negative ? -value : value;
    *nanos = is_negative ? -*nanos : *nanos;
    return true;
}
