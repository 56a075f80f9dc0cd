/* Log-ins over any bytes: nothing is read behind them, and what is told does not depend on how the
 * bytes of a Telnet server are cut. */
#include <stdlib.h>

#include "sensor/wire/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool prompt_in_pieces(const uint8_t *data, size_t size)
{
    struct login_prompt prompt = {0};
    bool is_asked = false;

    for (size_t i = 0; i < size; i++) {
        const struct wire_span one = {.bytes = data + i, .length = 1};

        is_asked = login_prompt(&prompt, &one);
    }
    return is_asked;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span bytes = {.bytes = data, .length = (uint32_t)size};
    struct login_prompt prompt = {0};
    struct login_state states[4] = {{0}};

    for (int kind = LOGIN_FTP; kind <= LOGIN_SMTP; kind++) {
        (void)login_line((enum login_kind)kind, &states[kind], &bytes);
    }
    (void)login_ldap(&bytes);
    const enum login_scheme scheme = login_scheme(&bytes);

    if (scheme > LOGIN_OPENING || login_scheme(&(struct wire_span){.bytes = NULL}) != LOGIN_NONE) {
        abort();
    }
    const bool is_asked = login_prompt(&prompt, &bytes);

    /* A command of Telnet that is cut may hide a byte. */
    if (memchr(data, 0xff, size) == NULL && size > 0 && is_asked != prompt_in_pieces(data, size)) {
        abort();
    }
    return 0;
}
