#include "base/domain/domain.h"

#include <libpsl.h>

#include "base/ascii.h"

size_t domain_registered(const char *name, size_t length)
{
    char text[DOMAIN_NAME_MAX + 1];
    const size_t skipped = length > DOMAIN_NAME_MAX ? length - DOMAIN_NAME_MAX : 0;
    size_t kept = length - skipped;

    for (size_t i = 0; i < kept; i++) {
        /* An embedded NUL would end the name early. */
        text[i] = ascii_lower(name[skipped + i]);
        if (text[i] == '\0') {
            text[i] = '_';
        }
    }
    text[kept] = '\0';
    const char *registered = psl_registrable_domain(psl_builtin(), text);

    return registered != NULL ? skipped + (size_t)(registered - text) : 0;
}
