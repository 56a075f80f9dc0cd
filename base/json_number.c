/* The numbers of json_writer.h: own conversion where it is exact, printf where it is not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"

#define NUMBER_BYTES 400 /* "%.9f" of the largest double has 309 digits before the point */

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* Writes `value` so that it ends before `end`; returns where it begins. */
static char *digits_before(char *end, uint64_t value)
{
    while (value >= 100) {
        end -= 2;
        memcpy(end, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        memcpy(end, digit_pairs + value * 2, 2);
    } else {
        *--end = (char)('0' + value);
    }
    return end;
}

/* `scaled` / 10^decimals with exactly `decimals` digits behind the point, before `end`. */
static char *decimal_before(char *end, uint64_t scaled, unsigned decimals)
{
    if (decimals > 0) {
        for (unsigned i = 0; i < decimals; i++) {
            *--end = (char)('0' + scaled % 10);
            scaled /= 10;
        }
        *--end = '.';
    }
    return digits_before(end, scaled);
}

void json_u64(struct json_writer *w, uint64_t value)
{
    char text[20];
    const char *at = digits_before(text + sizeof(text), value);
    json_raw(w, at, (size_t)(text + sizeof(text) - at));
}

void json_u64_text(struct json_writer *w, uint64_t value)
{
    char text[22];
    text[21] = '"';
    char *at = digits_before(text + 21, value);
    *--at = '"';
    json_raw(w, at, (size_t)(text + sizeof(text) - at));
}

void json_i64(struct json_writer *w, int64_t value)
{
    char text[21];
    const uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *at = digits_before(text + sizeof(text), magnitude);
    if (value < 0) {
        *--at = '-';
    }
    json_raw(w, at, (size_t)(text + sizeof(text) - at));
}

/* Most figures have at most six digits behind the point and fifteen in all. Such a decimal is exact
 * when the division (of two exact integers, rounded once) gives the value back. Returns false when
 * it is no such value. */
static bool short_double(struct json_writer *w, double value)
{
    const double magnitude = fabs(value);
    if (!(magnitude < 1e9) || (value == 0 && signbit(value))) {
        return false;
    }
    const double scaled = nearbyint(magnitude * 1e6);
    if (scaled / 1e6 != magnitude) {
        return false;
    }
    uint64_t digits = (uint64_t)scaled;
    unsigned decimals = 6;
    while (decimals > 0 && digits % 10 == 0) {
        digits /= 10;
        decimals--;
    }
    char text[32];
    char *at = decimal_before(text + sizeof(text), digits, decimals);
    if (value < 0) {
        *--at = '-';
    }
    json_raw(w, at, (size_t)(text + sizeof(text) - at));
    return true;
}

void json_double(struct json_writer *w, double value)
{
    if (!isfinite(value)) {
        json_null(w);
        return;
    }
    if (short_double(w, value)) {
        return;
    }
    char text[NUMBER_BYTES];
    int length = 0;
    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    json_raw(w, text, (size_t)length);
}

void json_fixed(struct json_writer *w, double value, unsigned decimals)
{
    if (!isfinite(value)) {
        json_null(w);
        return;
    }
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    decimals = decimals > 9 ? 9 : decimals;
    char text[NUMBER_BYTES];
    const double scaled = nearbyint(fabs(value) * powers[decimals]);
    if (scaled < 1e15) {
        char *at = decimal_before(text + sizeof(text), (uint64_t)scaled, decimals);
        if (value < 0 && scaled > 0) {
            *--at = '-';
        }
        json_raw(w, at, (size_t)(text + sizeof(text) - at));
        return;
    }
    const int length = snprintf(text, sizeof(text), "%.*f", (int)decimals, value);
    json_raw(w, text, (size_t)length);
}
