/* What the files of the doctor share. Depends on: doctor.h. */
#pragma once

#include <stdint.h>

#include "base/service/doctor.h"

#define DOCTOR_WAIT_MS 3000 /* for each step */

/* As poll() of one descriptor, until then (monotonic). */
int doctor_wait(int fd, short events, uint64_t until_ns);
/* Shakes hands over the connected socket, which stays open; `name` is expected in the certificate.
 */
void doctor_tls(struct doctor *doctor, const struct doctor_peer *peer, const char *name, int fd);
