#include "proto/sensor_pattern.h"

bool sensor_pattern_matches(const char *pattern, const char *text, size_t length)
{
    const char *star = NULL; /* the last one, and where the text went on behind it */
    size_t resume = 0;
    size_t at = 0;

    while (at < length) {
        if (*pattern == '*') {
            star = pattern++;
            resume = at;
        } else if (*pattern == text[at]) {
            pattern++;
            at++;
        } else if (star != NULL) {
            pattern = star + 1;
            at = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
