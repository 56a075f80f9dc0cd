#include <stdlib.h>
#include <string.h>

#include "base/config/config_object.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* From small to large. Where two names have one factor, the first is the one that is printed. */
static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", UINT64_C(1000)},
    {"\xc2\xb5s", UINT64_C(1000)}, /* with the micro sign */
    {"ms", UINT64_C(1000000)},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
    {"d", UINT64_C(86400) * 1000000000},
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"KB", UINT64_C(1000)},
    {"kB", UINT64_C(1000)},
    {"KiB", UINT64_C(1) << 10},
    {"MB", UINT64_C(1000000)},
    {"MiB", UINT64_C(1) << 20},
    {"GB", UINT64_C(1000000000)},
    {"GiB", UINT64_C(1) << 30},
    {"TB", UINT64_C(1000000000000)},
    {"TiB", UINT64_C(1) << 40},
};

#define UNIT_NAME_BYTES 8

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const struct unit *find_unit(const struct unit *units, size_t count, const char *name,
                                    size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

/* A decimal number: `digits` / `scale`. */
struct decimal {
    uint64_t digits;
    uint64_t scale;
};

static enum config_unit_status read_decimal(const char **at, struct decimal *out)
{
    const char *p = *at;
    bool is_fraction = false;
    *out = (struct decimal){.digits = 0, .scale = 1};
    if (!is_digit(*p)) {
        return CONFIG_UNIT_BAD;
    }
    for (; is_digit(*p) || (*p == '.' && !is_fraction && is_digit(p[1])); p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        if (__builtin_mul_overflow(out->digits, 10, &out->digits) ||
            __builtin_add_overflow(out->digits, (uint64_t)(*p - '0'), &out->digits)) {
            return CONFIG_UNIT_TOO_LARGE;
        }
        if (is_fraction) {
            if (out->scale >= UINT64_C(1000000000)) {
                return CONFIG_UNIT_BAD; /* finer than anything that is measured here */
            }
            out->scale *= 10;
        }
    }
    *at = p;
    return CONFIG_UNIT_OK;
}

/* Adds `number` units to `sum`. A part below the base unit (0.5B) is refused, not rounded. */
static enum config_unit_status add_units(struct decimal number, uint64_t factor, uint64_t *sum)
{
    while (number.scale > 1 && number.digits % 10 == 0) {
        number.digits /= 10;
        number.scale /= 10;
    }
    uint64_t product;
    if (__builtin_mul_overflow(number.digits, factor, &product)) {
        return CONFIG_UNIT_TOO_LARGE;
    }
    if (product % number.scale != 0) {
        return CONFIG_UNIT_BAD;
    }
    return __builtin_add_overflow(*sum, product / number.scale, sum) ? CONFIG_UNIT_TOO_LARGE
                                                                     : CONFIG_UNIT_OK;
}

static const char *skip_spaces(const char *at)
{
    while (*at == ' ') {
        at++;
    }
    return at;
}

/* Numbers with units, each smaller than the one before ("1h30m"); a bare number in `bare_unit`. */
static enum config_unit_status read_units(const char *text, const struct unit *units, size_t count,
                                          const char *bare_unit, bool is_compound, uint64_t *value)
{
    const char *at = skip_spaces(text);
    uint64_t sum = 0;
    uint64_t last_factor = UINT64_MAX;
    do {
        struct decimal number;
        enum config_unit_status status = read_decimal(&at, &number);
        if (status != CONFIG_UNIT_OK) {
            return status;
        }
        const char *name = skip_spaces(at);
        size_t length = 0;
        while (length < UNIT_NAME_BYTES && name[length] != '\0' && name[length] != ' ' &&
               !is_digit(name[length]) && name[length] != '.') {
            length++;
        }
        const bool is_bare = length == 0 && *name == '\0' && last_factor == UINT64_MAX;
        if (is_bare && number.digits == 0) {
            *value = 0; /* nothing is the same in every unit */
            return CONFIG_UNIT_OK;
        }
        if (is_bare && bare_unit == NULL) {
            return CONFIG_UNIT_MISSING;
        }
        const struct unit *unit = is_bare ? find_unit(units, count, bare_unit, strlen(bare_unit))
                                          : find_unit(units, count, name, length);
        if (unit == NULL || unit->factor >= last_factor ||
            (last_factor != UINT64_MAX && !is_compound)) {
            return CONFIG_UNIT_BAD;
        }
        status = add_units(number, unit->factor, &sum);
        if (status != CONFIG_UNIT_OK) {
            return status;
        }
        last_factor = unit->factor;
        at = skip_spaces(name + length);
    } while (*at != '\0');
    *value = sum;
    return CONFIG_UNIT_OK;
}

enum config_unit_status config_read_duration(const char *text, const char *bare_unit, uint64_t *ns)
{
    return read_units(text, duration_units, ARRAY_COUNT(duration_units), bare_unit, true, ns);
}

enum config_unit_status config_read_bytes(const char *text, const char *bare_unit, uint64_t *bytes)
{
    return read_units(text, byte_units, ARRAY_COUNT(byte_units), bare_unit, false, bytes);
}

bool config_parse_duration(const char *text, const char *bare_unit, uint64_t *ns)
{
    uint64_t value;
    if (config_read_duration(text, bare_unit, &value) != CONFIG_UNIT_OK) {
        return false;
    }
    *ns = value;
    return true;
}

bool config_parse_bytes(const char *text, const char *bare_unit, uint64_t *bytes)
{
    uint64_t value;
    if (config_read_bytes(text, bare_unit, &value) != CONFIG_UNIT_OK) {
        return false;
    }
    *bytes = value;
    return true;
}

/* The names that numbers are printed with. */
static const struct unit duration_print_units[] = {
    {"d", UINT64_C(86400) * 1000000000},
    {"h", UINT64_C(3600) * 1000000000},
    {"m", UINT64_C(60) * 1000000000},
    {"s", UINT64_C(1000000000)},
    {"ms", UINT64_C(1000000)},
    {"us", UINT64_C(1000)},
    {"ns", 1},
};

static const struct unit byte_print_units[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
};

void config_number_text(enum config_type type, uint64_t value, char out[CONFIG_NUMBER_BYTES])
{
    const struct unit *units = NULL;
    if (type == CONFIG_DURATION) {
        units = duration_print_units;
    } else if (type == CONFIG_BYTES) {
        units = byte_print_units;
    }
    if (units == NULL) {
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%llu", (unsigned long long)value);
        return;
    }
    if (value == 0) {
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%s", type == CONFIG_DURATION ? "0s" : "0B");
        return;
    }
    while (value % units->factor != 0) {
        units++; /* ends at factor 1 */
    }
    (void)snprintf(out, CONFIG_NUMBER_BYTES, "%llu%s", (unsigned long long)(value / units->factor),
                   units->name);
}

void config_double_text(double value, char out[CONFIG_NUMBER_BYTES])
{
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, CONFIG_NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            return;
        }
    }
}

void config_bound_text(const struct config_field *field, double bound,
                       char out[CONFIG_NUMBER_BYTES])
{
    if (field->type == CONFIG_DOUBLE || bound < 0) {
        config_double_text(bound, out);
    } else {
        /* 2^64 as a double is one above what an integer holds. */
        config_number_text(field->type,
                           bound >= 18446744073709551616.0 ? UINT64_MAX : (uint64_t)bound, out);
    }
}
