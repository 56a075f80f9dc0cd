#include "detection/dns_name.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/attributes.h"
#include "base/domain/domain.h"

#define RANDOM_LENGTH_MIN  8
#define RANDOM_ENTROPY_MIN 2750 /* thousandths of a bit */

void dns_name_split(struct record_text name, struct record_text *host, struct record_text *domain)
{
    const size_t at = domain_registered_of_host(name.data, name.length);

    *host = (struct record_text){name.data, at > 0 ? (uint32_t)at - 1 : 0};
    *domain = (struct record_text){name.data + at, name.length - (uint32_t)at};
}

static struct record_text first_label(struct record_text name)
{
    const char *dot = name.length > 0 ? memchr(name.data, '.', name.length) : NULL;

    return (struct record_text){name.data, dot != NULL ? (uint32_t)(dot - name.data) : name.length};
}

struct record_text dns_name_label(struct record_text name)
{
    const struct record_text first = first_label(name);

    if (first.length == 3 && name.length > 4 && memcmp(first.data, "www", 3) == 0) {
        return first_label((struct record_text){name.data + 4, name.length - 4});
    }
    return first;
}

/* Most bytes of a name are there once or a few times. */
static double n_log2_n(uint32_t n)
{
    static const double few[] = {
        0, 0, 2, 4.754887502163468, 8, 11.60964047443681, 15.509775004326936, 19.651484454403228};

    return n < ARRAY_COUNT(few) ? few[n] : n * log2(n);
}

uint32_t dns_name_entropy(struct record_text text)
{
    uint32_t counts[256];
    uint64_t seen[4] = {0}; /* which bytes: the others' counts are not set */
    double sum = 0;

    if (text.length == 0) {
        return 0;
    }

    for (uint32_t i = 0; i < text.length; i++) {
        const uint8_t byte = (uint8_t)text.data[i];
        const uint64_t bit = UINT64_C(1) << byte % 64;

        counts[byte] = (seen[byte / 64] & bit) != 0 ? counts[byte] + 1 : 1;
        seen[byte / 64] |= bit;
    }
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t left = seen[word]; left != 0; left &= left - 1) {
            const unsigned byte = 64 * word + (unsigned)__builtin_ctzll(left);

            sum += n_log2_n(counts[byte]);
        }
    }
    return (uint32_t)((log2(text.length) - sum / text.length) * 1000 + 0.5);
}

static bool is_vowel(char c)
{
    return c != '\0' && strchr("aeiouyAEIOUY", c) != NULL;
}

bool dns_label_looks_random(struct record_text label)
{
    uint32_t vowels = 0, digits = 0, changes = 0, run = 0, longest = 0;

    if (label.length < RANDOM_LENGTH_MIN || dns_name_entropy(label) < RANDOM_ENTROPY_MIN) {
        return false;
    }
    for (uint32_t i = 0; i < label.length; i++) {
        const char c = label.data[i];
        const bool is_digit = c >= '0' && c <= '9';

        if (c == '-' || c == '_') {
            return false; /* words joined */
        }
        digits += is_digit;
        vowels += is_vowel(c);
        run = is_vowel(c) || is_digit ? 0 : run + 1;
        longest = run > longest ? run : longest;
        changes += i > 0 && is_digit != (label.data[i - 1] >= '0' && label.data[i - 1] <= '9');
    }
    const uint32_t letters = label.length - digits;

    return changes >= 3 || longest >= 5 || (letters >= RANDOM_LENGTH_MIN && vowels * 5 < letters);
}

static bool ends_with(struct record_text name, const char *text)
{
    const size_t length = strlen(text);

    return name.length >= length && memcmp(name.data + name.length - length, text, length) == 0;
}

bool dns_name_is_local(struct record_text name)
{
    return name.length == 0 || memchr(name.data, '.', name.length) == NULL ||
           ends_with(name, ".in-addr.arpa") || ends_with(name, ".ip6.arpa") ||
           ends_with(name, ".local") || ends_with(name, ".lan") || ends_with(name, ".home.arpa");
}

bool dns_name_is_of_no_registry(struct record_text name)
{
    uint32_t at = name.length;
    bool has_digit = false;

    while (at > 0 && name.data[at - 1] != '.') {
        at--;
        has_digit = has_digit || (name.data[at] >= '0' && name.data[at] <= '9');
    }
    return has_digit &&
           dns_label_looks_random((struct record_text){name.data + at, name.length - at});
}

/* ---- names of addresses ---- */

#define LABELS_V4 4
#define LABELS_V6 32

/* Length of what stands before `suffix`; 0: it does not end so. */
static uint32_t before_suffix(struct record_text name, const char *suffix)
{
    const uint32_t length = (uint32_t)strlen(suffix);

    return name.length > length &&
                   strncasecmp(name.data + name.length - length, suffix, length) == 0
               ? name.length - length
               : 0;
}

/* The label that ends at `*end`, which is moved before it and its dot; -1: not a number of `base`
 * without a leading zero, up to `most`. */
static int last_number(const char *data, uint32_t *end, int base, int most)
{
    static const char digits[] = "0123456789abcdef";
    const uint32_t stop = *end;
    uint32_t start = stop;
    int number = 0;

    while (start > 0 && data[start - 1] != '.') {
        start--;
    }
    if (start == stop || (stop - start > 1 && data[start] == '0')) {
        return -1;
    }
    for (uint32_t i = start; i < stop; i++) {
        const int letter = data[i] >= 'A' && data[i] <= 'F' ? data[i] - 'A' + 'a' : data[i];
        const char *digit = memchr(digits, letter, (size_t)base);

        number = digit == NULL ? most + 1 : number * base + (int)(digit - digits);
        if (number > most) {
            return -1;
        }
    }
    *end = start > 0 ? start - 1 : 0;
    return number;
}

bool dns_name_reverse(struct record_text name, struct ip_prefix *out)
{
    uint32_t end = before_suffix(name, ".in-addr.arpa");
    const bool is_v4 = end > 0;
    const uint32_t labels = is_v4 ? LABELS_V4 : LABELS_V6;

    end = is_v4 ? end : before_suffix(name, ".ip6.arpa");
    *out = (struct ip_prefix){.address = {.version = is_v4 ? 4 : 6}};
    if (end == 0) {
        return false;
    }
    for (uint32_t i = 0; end > 0; i++) {
        const int number =
            i == labels ? -1 : last_number(name.data, &end, is_v4 ? 10 : 16, is_v4 ? 255 : 15);

        if (number < 0) {
            return false;
        }
        if (is_v4) {
            out->address.bytes[i] = (uint8_t)number;
        } else {
            out->address.bytes[i / 2] |= (uint8_t)(i % 2 == 0 ? number << 4 : number);
        }
        out->prefix_bits = (uint8_t)((i + 1) * (is_v4 ? 8 : 4));
    }
    return true;
}
