/* Records as lines of Zeek's logs, for tools that read these: conn, dns, ssl, ssh and notice, by
 * the names, types and order of columns of Zeek's own scripts, as tab separated values with Zeek's
 * head or as JSON.
 *
 * What Zeek says by script or plugin alone (community_id, MAC addresses, VLANs, JA3, JA4, HASSH)
 * stands behind Zeek's columns under the names that these use. A log has no column that is never
 * filled. docs/zeek-logs.md says what differs. Sources: docs.zeek.org, "Log Formats"; ASCII writer.
 * Depends on: base, proto. Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/record.h"

enum zeek_log { ZEEK_CONN, ZEEK_DNS, ZEEK_SSL, ZEEK_SSH, ZEEK_NOTICE, ZEEK_LOGS };
enum zeek_form { ZEEK_TSV, ZEEK_JSON };

#define ZEEK_LINE_BYTES 65536 /* of any line or head */

const char *zeek_log_name(enum zeek_log log); /* "conn". Static */

/* "#separator" to "#types" of a file begun at that time (wall clock). Its length; TSV alone. */
size_t zeek_head(enum zeek_log log, uint64_t open_ns, char out[ZEEK_LINE_BYTES]);
/* "#close". */
size_t zeek_foot(uint64_t close_ns, char out[ZEEK_LINE_BYTES]);

/* A line with its newline. 0: the record has none in this log. */

/* conn: ended flows, of their whole life; ssl and ssh: those of them that spoke it. */
MUST_USE size_t zeek_flow_line(enum zeek_log log, const struct flow_record *record,
                               enum zeek_form form, char out[ZEEK_LINE_BYTES]);
MUST_USE size_t zeek_dns_line(const struct dns_transaction *transaction, enum zeek_form form,
                              char out[ZEEK_LINE_BYTES]);
/* Incidents that open. */
MUST_USE size_t zeek_notice_line(const struct alert_record *alert, enum zeek_form form,
                                 char out[ZEEK_LINE_BYTES]);
