/* What a DNS name looks like, for detectors. Depends on: base, base/domain. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "proto/record_identity.h"

/* `domain`: the registered domain at the end of `name`, the whole name where there is none. `host`:
 * what stands before it, without the dot between; empty where there is nothing. */
void dns_name_split(struct record_text name, struct record_text *host, struct record_text *domain);
/* The first label, or the second where the first is "www". */
struct record_text dns_name_label(struct record_text name);
/* Shannon entropy of the bytes, in thousandths of a bit: 0 to 8000. */
uint32_t dns_name_entropy(struct record_text text);
/* A label as algorithms make them: long, of many different letters, hard to speak or with digits in
 * between. */
bool dns_label_looks_random(struct record_text label);
/* Below in-addr.arpa or ip6.arpa, or without a dot: no name of the world outside. */
bool dns_name_is_local(struct record_text name);
/* Ends in a label that no registry has, random and with digits: whoever asks for it means the
 * server that is asked, not the name. */
bool dns_name_is_of_no_registry(struct record_text name);
/* What a name below in-addr.arpa or ip6.arpa stands for: an address, or the network that is left of
 * one. False: anything else. */
bool dns_name_reverse(struct record_text name, struct ip_prefix *out);
