#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message is one line whatever a name in it holds. */
static void flatten(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = ' ';
        }
    }
}

int error_set(struct error *err, int code, const char *format, ...)
{
    assert(code > 0);
    if (err != NULL) {
        /* Formatted beside it: an argument may be the message that is there. */
        char message[sizeof(err->message)];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(message, sizeof(message), format, arguments);
        va_end(arguments);
        flatten(message);
        err->code = code;
        memcpy(err->message, message, strlen(message) + 1);
    }
    return -code;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (err == NULL || err->code == 0) {
        return;
    }
    char message[sizeof(err->message)];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    const size_t used = strlen(message);
    (void)snprintf(message + used, sizeof(message) - used, ": %s", err->message);
    flatten(message);
    memcpy(err->message, message, strlen(message) + 1);
}

void error_clear(struct error *err)
{
    if (err != NULL) {
        err->code = 0;
        err->message[0] = '\0';
    }
}
