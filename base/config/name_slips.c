#include "base/config/name_slips.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned name_slips(const char *a, size_t a_length, const char *b, size_t b_length)
{
    if (a_length > NAME_COMPARED_MAX || b_length > NAME_COMPARED_MAX) {
        return NAME_COMPARED_MAX;
    }
    unsigned rows[3][NAME_COMPARED_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) {
        rows[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        const unsigned *before = rows[(i - 1) % 3];
        unsigned *row = rows[i % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            const unsigned change = before[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
            row[j] = least(change, least(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], rows[(i - 2) % 3][j - 2] + 1);
            }
        }
    }
    return rows[a_length % 3][b_length];
}

struct name_nearest name_nearest_start(size_t length)
{
    const unsigned most = length < 6 ? 2 : least((unsigned)length / 4 + 1, 5);

    return (struct name_nearest){.slips = most + 1};
}

void name_nearest_offer(struct name_nearest *nearest, const char *name, unsigned slips)
{
    if (slips < nearest->slips) {
        *nearest = (struct name_nearest){name, slips};
    }
}
