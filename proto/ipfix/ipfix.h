/* Flow records as IPFIX messages (RFC 7011), for collectors of other makers.
 *
 * A writer makes the messages of one Transport Session: templates and what else a collector must
 * know first, then Data Records of the deltas that each flow record tells. By default a record is
 * made into one Data Record for each direction with packets, which every collector understands; or
 * into one biflow (RFC 5103). The elements are IANA's; what they cannot say is left out, or has
 * elements of an enterprise (`enterprise`) that are described in-band (RFC 5610). docs/ipfix.md
 * lists them all. Depends on: base, proto. Threads: a writer is one thread's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"

#define IPFIX_PORT        4739  /* RFC 7011 10.3.4 */
#define IPFIX_MESSAGE_MIN 1024  /* bytes that any template and any record find room in */
#define IPFIX_MESSAGE_MAX 65535 /* the length is 16 bits (3.1) */

struct ipfix_settings {
    uint32_t domain;            /* Observation Domain ID */
    uint32_t enterprise;        /* private enterprise number; 0: IANA's elements alone */
    uint32_t message_bytes_max; /* IPFIX_MESSAGE_MIN to IPFIX_MESSAGE_MAX */
    bool is_biflow;
    /* The number of an interface by its name, 0: there is none such. */
    uint32_t (*interface_index)(const char *name);
};

enum ipfix_added {
    IPFIX_ADDED,
    IPFIX_FULL,     /* no room in this message: finish it and come again */
    IPFIX_LEFT_OUT, /* tells no packets (a START, an END that adds nothing), or is not of IP */
};

struct ipfix_writer;

/* NULL with `err`: EINVAL, or ENOMEM. */
MUST_USE struct ipfix_writer *ipfix_writer_new(const struct ipfix_settings *settings,
                                               struct error *err);
void ipfix_writer_free(struct ipfix_writer *writer); /* NULL is allowed */
DEFINE_AUTO(ipfix_writer, ipfix_writer_free);

/* A new Transport Session: sequence numbers begin at 0, and templates come first. What was in the
 * message is dropped. */
void ipfix_writer_begin(struct ipfix_writer *writer);
/* Templates and options come once more with what is added next: over UDP they may have been lost
 * (RFC 7011 8.4). */
void ipfix_writer_repeat(struct ipfix_writer *writer);
/* The totals of the session alone. */
void ipfix_writer_report(struct ipfix_writer *writer);
/* Puts what is due of these into the message. False: it is full; finish it and come again. */
MUST_USE bool ipfix_writer_tell(struct ipfix_writer *writer);
/* Likewise, and then the record. */
MUST_USE enum ipfix_added ipfix_writer_add(struct ipfix_writer *writer,
                                           const struct flow_record *record);

struct ipfix_message {
    const uint8_t *bytes; /* of the writer, until the next call */
    size_t length;
    uint32_t flows;        /* flow records that were added to it */
    uint32_t flow_records; /* Data Records that tell them */
    uint32_t data_records; /* and those of options: what the sequence number counts */
};

/* The message so far, and begins the next. False: there is nothing in it. `export_ns`: wall clock.
 */
MUST_USE bool ipfix_writer_finish(struct ipfix_writer *writer, uint64_t export_ns,
                                  struct ipfix_message *out);
/* A message of an earlier session, which never arrived, becomes the next of this one: its sequence
 * number is written anew. `bytes` is the caller's copy. */
void ipfix_writer_renumber(struct ipfix_writer *writer, const struct ipfix_message *message,
                           uint8_t *bytes);
/* Of the Transport Session, what the Exporting Process tells of itself (RFC 7011 4.3). */
struct ipfix_totals {
    uint64_t octets, messages, flow_records; /* flow_records: Data Records of flows */
};
void ipfix_writer_totals(const struct ipfix_writer *writer, struct ipfix_totals *out);

/* docs/ipfix.md's table of elements, Markdown. */
void ipfix_elements_print(FILE *out);
