/* Which part of a host name somebody has registered, by the Public Suffix List (publicsuffix.org).
 *
 * The list is the one that libpsl brings: no file is read. Depends on: base, libpsl. Pure, any
 * thread (each remembers its newest answers); about 1 us a new name
 * below an end that was seen lately, else up to 3. */
#pragma once

#include <stddef.h>

#define DOMAIN_NAME_MAX 255

/* Where the registered domain begins in `name` ("a.b.example.co.uk": at "example.co.uk"), without a
 * last dot and without regard to case. 0: the name is one itself, or a public suffix, or has no
 * dot. A name over DOMAIN_NAME_MAX bytes is read from its last DOMAIN_NAME_MAX on. */
size_t domain_registered(const char *name, size_t length);

/* The same of a name that is taken for a host's: where it is a public suffix itself, and below some
 * other name ("s3.amazonaws.com"), it counts as that one's host. So a new name below known ends
 * costs no search of the list, 1 us: for what sees many names. */
size_t domain_registered_of_host(const char *name, size_t length);
