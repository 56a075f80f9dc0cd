/* netscope.v1.Asset as plain C, for both programs: a sensor writes it to whoever asks and to its
 * collector, and the collector reads it, keeps it and writes it again.
 *
 * The reader is for hostile bytes: texts are within their bounds and printable, or it is none.
 * Depends on: base, record.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/wire_format.h"
#include "proto/record_identity.h"

#define ASSET_MESSAGE_TEXT_MAX      64  /* bytes of each name, and of an interface's */
#define ASSET_MESSAGE_BYTES_MAX     768 /* one, with its field's head */
#define ASSET_MESSAGE_SOURCES_COUNT 4   /* of enum AssetSource, from 1 on */

struct asset_message {
    struct record_text sensor_id; /* empty: whoever is asked is the sensor */
    struct record_text interface;
    bool has_vlan;
    uint16_t vlan_id;
    struct ip_address ip; /* version 0: none is known */
    uint8_t mac[6];
    uint8_t sources; /* a bit for each AssetSource, from 1 on: 1 << (source - 1) */
    bool is_router, is_dhcp_server;
    uint64_t first_ns, last_ns, sightings;
    struct record_text host_name, vendor_class, fingerprint;
};

/* As field `field` of what is written. Texts are cut at their bounds. */
void asset_message_write(struct wire_writer *w, uint32_t field, const struct asset_message *asset);
/* The bytes of an Asset; texts are borrowed from them. What the message does not know is passed
 * over. False: no protobuf, no MAC, an address that is none, a text that is too long or not
 * printable. */
MUST_USE bool asset_message_read(const uint8_t *bytes, size_t length, struct asset_message *out);

/* Which of them somebody asks for. */
struct asset_choice {
    struct ip_address ip; /* of this address alone; version 0: any */
    bool has_mac;         /* of this MAC alone */
    uint8_t mac[6];
    const char *search; /* with this in address, MAC, host name or vendor class, in any case; NULL
                           or "": any */
};
bool asset_choice_fits(const struct asset_choice *choice, const struct asset_message *asset);

/* An AssetReport: Asset messages as field 1. */
#define ASSET_REPORT_ASSETS 1
