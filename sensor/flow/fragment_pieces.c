/* The pieces of a datagram: which were seen, and what is wrong with them. */
#include "sensor/flow/fragment_internal.h"
#include "sensor/wire/ipv6.h"

#define DATAGRAM_BYTES_MAX 65535U

bool fragment_is_faulty_alone(struct fragment_counts *counts, const struct fragment *fragment,
                              const struct packet *packet)
{
    bool is_faulty = false;

    if (fragment->data_bytes == 0) {
        counter_add(&counts->empty, 1);
        is_faulty = true;
    } else if (fragment->has_more && fragment->data_bytes % 8 != 0) {
        counter_add(&counts->odd, 1);
        is_faulty = true;
    }
    if (fragment->offset_bytes + fragment->data_bytes > DATAGRAM_BYTES_MAX) {
        counter_add(&counts->oversized, 1);
        is_faulty = true;
    }
    /* RFC 1858, 3128; RFC 7112: all headers up to the transport's stand in the first one. */
    if (fragment->offset_bytes == 0 &&
        (fragment->data_bytes < fragment_first_bytes_min(fragment->protocol) ||
         (fragment->ip_version == 6 && ipv6_is_extension(packet->protocol)))) {
        counter_add(&counts->tiny, 1);
        is_faulty = true;
    }
    return is_faulty;
}

/* The end of the datagram, as its last fragment tells it. */
static bool contradicts_end(struct datagram *datagram, const struct fragment *fragment)
{
    const uint32_t end = fragment->offset_bytes + fragment->data_bytes;
    bool contradicts = (datagram->bits & HAS_END) != 0 && end > datagram->end_bytes;

    if (!fragment->has_more) {
        contradicts =
            contradicts || ((datagram->bits & HAS_END) != 0 && end != datagram->end_bytes);
        for (uint32_t i = 0; i < datagram->range_count; i++) {
            const struct range *range = &datagram->ranges[i];

            contradicts = contradicts || range->start * 8U + range->bytes > end;
        }
        if ((datagram->bits & HAS_END) == 0) {
            datagram->bits |= HAS_END;
            datagram->end_bytes = end;
        }
    }
    return contradicts;
}

enum fragment_where fragment_place(const struct datagram *datagram, const struct fragment *fragment)
{
    const uint32_t start = fragment->offset_bytes;
    const uint32_t end = start + fragment->data_bytes;
    enum fragment_where place = PLACE_NEW;

    for (uint32_t i = 0; i < datagram->range_count; i++) {
        const uint32_t other = datagram->ranges[i].start * 8U;
        const uint32_t other_end = other + datagram->ranges[i].bytes;

        if (start == other && end == other_end) {
            return PLACE_DUPLICATE;
        }
        if (start < other_end && other < end) {
            place = PLACE_OVERLAP;
        }
    }
    return place;
}

static void take_range(struct fragment_counts *counts, struct datagram *datagram,
                       const struct fragment *fragment)
{
    if (datagram->range_count == RANGES_MAX) {
        if ((datagram->bits & IS_UNCHECKED) == 0) {
            counter_add(&counts->too_many, 1);
        }
        datagram->bits |= IS_UNCHECKED;
        return;
    }
    datagram->ranges[datagram->range_count++] =
        (struct range){(uint16_t)(fragment->offset_bytes / 8), (uint16_t)fragment->data_bytes};
    datagram->seen_bytes += fragment->data_bytes;
}

bool fragment_examine(struct fragment_counts *counts, struct datagram *datagram,
                      const struct fragment *fragment)
{
    bool is_faulty = false;

    if ((datagram->bits & IS_UNCHECKED) != 0 || fragment->data_bytes == 0 ||
        fragment->data_bytes > UINT16_MAX) {
        return false;
    }
    switch (fragment_place(datagram, fragment)) {
    case PLACE_DUPLICATE:
        counter_add(&counts->duplicates, 1);
        return false;
    case PLACE_OVERLAP:
        counter_add(&counts->overlaps, 1);
        is_faulty = true;
        break;
    case PLACE_NEW:
        break;
    }
    if (contradicts_end(datagram, fragment)) {
        counter_add(&counts->contradictory, 1);
        is_faulty = true;
    }
    take_range(counts, datagram, fragment);
    if ((datagram->bits & (HAS_END | IS_COMPLETE | IS_UNCHECKED)) == HAS_END &&
        datagram->seen_bytes == datagram->end_bytes) {
        datagram->bits |= IS_COMPLETE;
        counter_add(&counts->completed, 1);
    }
    return is_faulty;
}
