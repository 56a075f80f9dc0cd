#include "ctl/show.h"

#include <stdarg.h>
#include <string.h>

#include "base/ascii.h"
#include "base/clock.h"
#include "base/utf8.h"

void show_text(struct show *show, const char *format, ...)
{
    const size_t room = show->capacity - show->length;
    va_list arguments;

    va_start(arguments, format);
    const int wanted = vsnprintf(show->out + show->length, room, format, arguments);
    va_end(arguments);
    if (wanted < 0 || (size_t)wanted >= room) {
        show->is_cut = true;
        show->out[show->length] = '\0';
        return;
    }
    show->length += (size_t)wanted;
}

/* Takes no column, so that two texts look alike: zero-width characters, variation selectors, tags.
 */
static bool is_invisible(uint32_t code)
{
    return code == 0xad || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2060 && code <= 0x206f) || (code >= 0xfe00 && code <= 0xfe0f) ||
           (code >= 0xfff0 && code <= 0xfffb) || (code >= 0xe0000 && code <= 0xe0fff);
}

static void show_escaped(struct show *show, const char *bytes, size_t length, bool is_ours)
{
    const uint8_t *at = (const uint8_t *)bytes;
    const uint8_t *const end = length == 0 ? at : at + length;

    while (at < end) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, (size_t)(end - at), &code);

        if (count == 0) {
            show_text(show, "\\x%02x", *at);
        } else if (code == '\\' && !is_ours) {
            show_text(show, "\\\\");
        } else if (utf8_is_control(code) || is_invisible(code)) {
            show_text(show, code < 0x80 ? "\\x%02x" : "\\u{%04x}", code);
        } else {
            show_text(show, "%.*s", (int)count, (const char *)at);
        }
        at += count == 0 ? 1 : count;
    }
}

void show_hostile(struct show *show, const char *bytes, size_t length)
{
    show_escaped(show, bytes, length, false);
}

void show_sentence(struct show *show, const char *text)
{
    show_escaped(show, text, strlen(text), true);
}

void show_lower(struct show *show, const char *text)
{
    for (; *text != '\0'; text++) {
        show_text(show, "%c", ascii_lower(*text));
    }
}

void show_name(struct show *show, struct record_text name)
{
    show_hostile(show, name.data, name.length);
}

void show_colour(struct show *show, enum show_colour colour)
{
    static const char *const sequences[] = {"0", "2", "36", "32", "33", "31"};

    if (show->has_colour) {
        show_text(show, "\033[%sm", sequences[colour]);
    }
}

unsigned show_columns(const struct show *show, size_t begin)
{
    unsigned columns = 0;

    for (size_t i = begin; i < show->length; i++) {
        if (show->out[i] == '\033') { /* our own: names have none */
            while (i < show->length && show->out[i] != 'm') {
                i++;
            }
        } else if (((uint8_t)show->out[i] & 0xc0) != 0x80) {
            columns++;
        }
    }
    return columns;
}

void show_pad(struct show *show, size_t begin, unsigned width)
{
    const unsigned columns = show_columns(show, begin);

    show_text(show, "%*s", columns < width ? (int)(width - columns) : 1, "");
}

void show_time(struct show *show, uint64_t wall_ns)
{
    char text[CLOCK_TEXT_BYTES];

    if (wall_ns == 0) {
        show_text(show, "-");
        return;
    }
    (void)clock_text(wall_ns, 3, text);
    show_text(show, "%s", text);
}

/* Three digits that count: 1.23, 12.3, 123. */
static void show_three(struct show *show, double value, const char *unit)
{
    show_text(show, "%.*f%s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, unit);
}

/* The largest unit in which `value` is not below one; the step from one to the next is `step`. */
static void show_scaled(struct show *show, uint64_t value, double step, const char *const *units,
                        unsigned count)
{
    double scaled = (double)value;
    unsigned unit = 0;

    while (unit + 1 < count && scaled >= step - 0.5) {
        scaled /= step;
        unit++;
    }
    if (unit == 0) {
        show_text(show, "%llu%s", (unsigned long long)value, units[0]);
    } else {
        show_three(show, scaled, units[unit]);
    }
}

void show_bytes(struct show *show, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

    show_scaled(show, bytes, 1024, units, ARRAY_COUNT(units));
}

void show_count(struct show *show, uint64_t count)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};

    show_scaled(show, count, 1000, units, ARRAY_COUNT(units));
}

void show_duration(struct show *show, uint64_t duration_ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    const uint64_t seconds = duration_ns / NS_PER_SEC;

    if (seconds < 120) {
        show_scaled(show, duration_ns, 1000, units, ARRAY_COUNT(units));
    } else if (seconds < 7200) {
        show_text(show, "%llum%02llus", (unsigned long long)(seconds / 60),
                  (unsigned long long)(seconds % 60));
    } else if (seconds < UINT64_C(2) * 86400) {
        show_text(show, "%lluh%02llum", (unsigned long long)(seconds / 3600),
                  (unsigned long long)(seconds / 60 % 60));
    } else {
        show_text(show, "%llud%02lluh", (unsigned long long)(seconds / 86400),
                  (unsigned long long)(seconds / 3600 % 24));
    }
}

void show_endpoint(struct show *show, const struct ip_address *ip, uint16_t port, bool has_port)
{
    char text[ADDRESS_TEXT_BYTES];
    const bool has_brackets = ip->version == 6 && has_port;

    if (address_text(ip, text) == 0) {
        show_text(show, "?");
    } else {
        show_text(show, "%s%s%s", has_brackets ? "[" : "", text, has_brackets ? "]" : "");
    }
    if (has_port) {
        show_text(show, ":%u", port);
    }
}
