/* Which assets a request speaks of, and its pages: the same for a sensor and for the fleet. */
#include <string.h>

#include "base/ascii.h"
#include "proto/serve/grpc_serve.h"

#define SEARCH_MAX 64

bool grpc_read_asset_choice(struct grpc_ask *ask, const char *address, const char *search,
                            struct asset_choice *out)
{
    const size_t length = strlen(address);

    *out = (struct asset_choice){.search = search};
    if (strlen(search) > SEARCH_MAX) {
        grpc_refuse_field(ask, "search", "OUT_OF_BOUNDS", -1, "search: at most %d bytes",
                          SEARCH_MAX);
        return false;
    }
    if (length == 0 || address_parse(address, length, &out->ip)) {
        return true;
    }
    out->has_mac = mac_parse(address, length, out->mac);
    if (!out->has_mac) {
        grpc_refuse_field(ask, "address", "INVALID_ADDRESS", -1,
                          "address: neither an IP address nor a MAC such as 02:00:00:00:00:01");
    }
    return out->has_mac;
}

void grpc_write_key_token(const void *key, size_t bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = key;

    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    out[2 * bytes] = '\0';
}

bool grpc_read_key_token(struct grpc_ask *ask, const char *token, void *key, size_t bytes)
{
    bool is_right = strlen(token) == 2 * bytes;
    uint8_t *to = key;

    for (size_t i = 0; is_right && i < bytes; i++) {
        const int high = ascii_hex_value(token[2 * i]), low = ascii_hex_value(token[2 * i + 1]);

        is_right = high >= 0 && low >= 0;
        to[i] = (uint8_t)((unsigned)high << 4 | (unsigned)low);
    }
    if (!is_right) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of this method's answers");
    }
    return is_right;
}
