/* Checks of the machine and of files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/key_file.h"
#include "base/process.h"
#include "base/service/doctor.h"
#include "base/service/key_pair.h"

#define SOON_DAYS  14
#define PATH_BYTES 4200

static bool is_given(const char *path)
{
    return path != NULL && path[0] != '\0';
}

/* False: told. */
static bool is_readable_file(struct doctor *doctor, const char *check, const char *key,
                             const char *path, struct stat *status)
{
    char cure[PATH_BYTES + 64];

    if (stat(path, status) != 0) {
        doctor_add(doctor, DOCTOR_FAIL, check, "put the file there, or correct the path",
                   "%s: %.200s: %s", key, path, strerror(errno));
        return false;
    }
    if (!S_ISREG(status->st_mode)) {
        doctor_add(doctor, DOCTOR_FAIL, check, "name a file", "%s: %.200s is no file", key, path);
        return false;
    }
    if (access(path, R_OK) != 0) {
        (void)snprintf(cure, sizeof(cure), "sudo chown %u %s", (unsigned)geteuid(), path);
        doctor_add(doctor, DOCTOR_FAIL, check, cure, "%s: this user may not read %.200s", key,
                   path);
        return false;
    }
    return true;
}

void doctor_secret(struct doctor *doctor, const char *key, const char *path)
{
    struct stat status;
    char cure[PATH_BYTES + 16];

    if (!is_given(path) || !is_readable_file(doctor, "secret", key, path, &status)) {
        return;
    }
    (void)snprintf(cure, sizeof(cure), "chmod 600 %s", path);
    if (!key_file_is_private(&status)) {
        doctor_add(doctor, DOCTOR_FAIL, "secret", cure,
                   "%s: %.200s can be read or changed by others (mode %04o) and is refused", key,
                   path, (unsigned)(status.st_mode & 07777));
    } else if (status.st_size == 0) {
        doctor_add(doctor, DOCTOR_FAIL, "secret", "write the secret into it", "%s: %.200s is empty",
                   key, path);
    } else {
        doctor_add(doctor, DOCTOR_OK, "secret", NULL, "%s: only its owner%s may read %.200s", key,
                   (status.st_mode & S_IRGRP) != 0 ? " and its group" : "", path);
    }
}

/* ---- certificates ---- */

static void look_at_time(struct doctor *doctor, const char *key, const char *path,
                         const X509 *certificate)
{
    int days = 0, seconds = 0;
    char subject[200] = "";

    (void)X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notBefore(certificate)) == 1 &&
        (days > 0 || (days == 0 && seconds > 0))) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate",
                   "set the clock (timedatectl set-ntp true), or wait",
                   "%s: %.120s is not valid yet (from %d days on)", key, path, days);
        return;
    }
    if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) != 1) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate", "make a new one", "%s: %.120s has no end",
                   key, path);
    } else if (days < 0 || (days == 0 && seconds < 0)) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate",
                   "make a new one: netscope-collector enroll NAME; it is taken up without a "
                   "restart",
                   "%s: %.120s has expired %d days ago (%.100s)", key, path, -days, subject);
    } else if (days < SOON_DAYS) {
        doctor_add(doctor, DOCTOR_WARN, "certificate",
                   "make a new one in time; it is taken up without a restart",
                   "%s: %.120s expires in %d days (%.100s)", key, path, days, subject);
    } else {
        doctor_add(doctor, DOCTOR_OK, "certificate", NULL,
                   "%s: %.120s is valid for %d days (%.100s)", key, path, days, subject);
    }
}

static void look_at_key(struct doctor *doctor, const char *key, const char *key_path,
                        const X509 *certificate)
{
    struct stat status;
    char cure[PATH_BYTES + 16];

    if (!is_readable_file(doctor, "certificate", key, key_path, &status)) {
        return;
    }
    EVP_PKEY *private_key = key_pair_key(key_path);

    if (private_key == NULL) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate",
                   "use the PEM file that begins with -----BEGIN PRIVATE KEY-----, without a pass "
                   "phrase",
                   "%s: %.200s is no private key", key, key_path);
    } else if (X509_check_private_key(certificate, private_key) != 1) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate", "name the key that it was made with",
                   "%s: the certificate and the key %.200s do not belong together", key, key_path);
    }
    (void)snprintf(cure, sizeof(cure), "chmod 600 %s", key_path);
    if (!key_file_is_private(&status)) {
        doctor_add(doctor, DOCTOR_FAIL, "secret", cure,
                   "%s: the key %.200s can be read or changed by others (mode %04o) and is refused",
                   key, key_path, (unsigned)(status.st_mode & 07777));
    }
    EVP_PKEY_free(private_key);
}

void doctor_certificate(struct doctor *doctor, const char *key, const char *path,
                        const char *key_path)
{
    struct stat status;

    if (!is_given(path) || !is_readable_file(doctor, "certificate", key, path, &status)) {
        return;
    }
    X509 *certificate = key_pair_certificate(path);

    if (certificate == NULL) {
        doctor_add(doctor, DOCTOR_FAIL, "certificate",
                   "use the PEM file that begins with -----BEGIN CERTIFICATE-----",
                   "%s: %.200s holds no certificate", key, path);
    } else {
        look_at_time(doctor, key, path, certificate);
        if (is_given(key_path)) {
            look_at_key(doctor, key, key_path, certificate);
        }
    }
    X509_free(certificate);
    ERR_clear_error();
}

static bool is_text(const ASN1_STRING *text, const char *name)
{
    return (size_t)ASN1_STRING_length(text) == strlen(name) &&
           memcmp(ASN1_STRING_get0_data(text), name, strlen(name)) == 0;
}

static bool has_name(const X509 *certificate, const char *name)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    GENERAL_NAMES *others = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool is_found = false;

    for (int at = -1;
         !is_found && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        is_found = is_text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), name);
    }
    for (int i = 0; !is_found && i < sk_GENERAL_NAME_num(others); i++) {
        const GENERAL_NAME *other = sk_GENERAL_NAME_value(others, i);

        is_found =
            (other->type == GEN_DNS || other->type == GEN_URI) && is_text(other->d.ia5, name);
    }
    GENERAL_NAMES_free(others);
    return is_found;
}

void doctor_certificate_name(struct doctor *doctor, const char *key, const char *path,
                             const char *name_key, const char *name)
{
    X509 *certificate = is_given(path) ? key_pair_certificate(path) : NULL;
    char subject[200] = "";

    if (certificate != NULL && !has_name(certificate, name)) {
        (void)X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
        doctor_add(doctor, DOCTOR_FAIL, "certificate",
                   "set it to the name in the certificate, or make one: netscope-collector enroll "
                   "NAME",
                   "%s: %.120s (%.100s) is not for %s '%.130s', and the collector will refuse it",
                   key, path, subject, name_key, name);
    }
    X509_free(certificate);
    ERR_clear_error();
}

/* ---- directories, memory, clock ---- */

/* The directory itself, or the nearest one above it that is there. */
static void nearest_directory(const char *path, char out[PATH_BYTES])
{
    struct stat status;

    (void)snprintf(out, PATH_BYTES, "%s", path);
    while (stat(out, &status) != 0) {
        char *slash = strrchr(out, '/');

        if (slash == NULL) {
            (void)snprintf(out, PATH_BYTES, ".");
            return;
        }
        slash[slash == out] = '\0';
        if (slash == out) {
            return;
        }
    }
}

void doctor_directory(struct doctor *doctor, const char *key, const char *path,
                      uint64_t wanted_bytes)
{
    char directory[PATH_BYTES];
    char cure[2 * PATH_BYTES];
    struct statvfs disk;

    if (!is_given(path)) {
        return;
    }
    nearest_directory(path, directory);
    if (access(directory, W_OK | X_OK) != 0) {
        (void)snprintf(cure, sizeof(cure), "sudo install -d -o %u -m 0750 %s", (unsigned)geteuid(),
                       path);
        doctor_add(doctor, DOCTOR_FAIL, "directory", cure, "%s: this user may not write to %.200s",
                   key, path);
        return;
    }
    if (statvfs(directory, &disk) != 0) {
        doctor_add(doctor, DOCTOR_FAIL, "directory", NULL, "%s: %.200s: %s", key, path,
                   strerror(errno));
        return;
    }
    const uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;

    if (free_bytes < wanted_bytes) {
        doctor_add(doctor, DOCTOR_WARN, "directory",
                   "free room on that disk, name another directory, or lower the size setting",
                   "%s: %.200s has %llu MiB free, the settings allow it to take %llu MiB", key,
                   path, (unsigned long long)free_bytes >> 20,
                   (unsigned long long)wanted_bytes >> 20);
    } else {
        doctor_add(doctor, DOCTOR_OK, "directory", NULL, "%s: %.200s, %llu MiB free", key, path,
                   (unsigned long long)free_bytes >> 20);
    }
}

void doctor_memory(struct doctor *doctor, const char *what, const char *cure, uint64_t bytes)
{
    const uint64_t limit = process_memory_limit();

    if (bytes > limit / 2) {
        doctor_add(doctor, bytes > limit ? DOCTOR_FAIL : DOCTOR_WARN, "memory", cure,
                   "%s takes %llu MiB; the memory limit of this process is %llu MiB", what,
                   (unsigned long long)bytes >> 20, (unsigned long long)limit >> 20);
    } else {
        doctor_add(doctor, DOCTOR_OK, "memory", NULL, "%s takes %llu MiB of %llu MiB", what,
                   (unsigned long long)bytes >> 20, (unsigned long long)limit >> 20);
    }
}

void doctor_clock(struct doctor *doctor)
{
    struct timex state = {0};
    const int result = adjtimex(&state);

    if (time(NULL) < 1704067200) { /* 2024: before the program was made */
        doctor_add(doctor, DOCTOR_FAIL, "clock", "sudo timedatectl set-ntp true",
                   "the clock is years behind: TLS certificates are not valid yet");
    } else if (result < 0) {
        doctor_add(doctor, DOCTOR_WARN, "clock", NULL,
                   "the kernel does not tell whether the clock is synchronised: %s",
                   strerror(errno));
    } else if (result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
        doctor_add(doctor, DOCTOR_WARN, "clock",
                   "sudo timedatectl set-ntp true (or start chrony); in a container: on the host",
                   "the clock is not synchronised: times of several sensors do not fit together");
    } else {
        doctor_add(doctor, DOCTOR_OK, "clock", NULL, "the clock is synchronised (within %ld us)",
                   state.maxerror);
    }
}
