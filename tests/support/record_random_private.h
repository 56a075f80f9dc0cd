/* What records are made of. Private to record_random*.c. Depends on: record_random.h. */
#pragma once

#include <stddef.h>

#include "tests/support/record_random.h"

/* True once in `one_in` calls. */
bool random_chance(struct record_random *random, uint32_t one_in);
/* All magnitudes: 0, small ones, and up to `bits` bits. */
uint64_t random_number(struct record_random *random, unsigned bits);
uint32_t random_number32(struct record_random *random);
uint16_t random_number16(struct record_random *random);
uint8_t random_number8(struct record_random *random);
/* 0 at times. */
uint64_t random_time_ns(struct record_random *random);
/* Valid UTF-8 of at most 200 bytes, static; an element of a list is there even when it is empty. */
struct record_text random_text(struct record_random *random);
struct record_text random_element(struct record_random *random);
/* None, IPv4 or IPv6. */
struct ip_address random_address(struct record_random *random);
struct record_identity random_identity(struct record_random *random);
/* A text that ends in `out`. */
void random_letters(struct record_random *random, char *out, size_t out_bytes);
