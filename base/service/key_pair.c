#include "base/service/key_pair.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/key_file.h"

X509 *key_pair_certificate(const char *path)
{
    FILE *file = fopen(path, "re");
    X509 *certificate = file == NULL ? NULL : PEM_read_X509(file, NULL, NULL, NULL);

    if (file != NULL) {
        (void)fclose(file);
    }
    return certificate;
}

/* No pass phrase is asked for: the programs cannot, either. */
static int no_phrase(char *out, int bytes, int is_writing, void *context)
{
    (void)out;
    (void)bytes;
    (void)is_writing;
    (void)context;
    return -1;
}

EVP_PKEY *key_pair_key(const char *path)
{
    FILE *file = fopen(path, "re");
    EVP_PKEY *key = file == NULL ? NULL : PEM_read_PrivateKey(file, NULL, no_phrase, NULL);

    if (file != NULL) {
        (void)fclose(file);
    }
    return key;
}

/* 1: it can be read; 0: whoever opens it tells why not; -EINVAL with `err`. */
static int look_at(const char *name, const char *path, struct error *err)
{
    struct stat status;

    if (path[0] == '\0' || access(path, R_OK) != 0 || stat(path, &status) != 0) {
        return 0;
    }
    return S_ISREG(status.st_mode) ? 1 : error_set(err, EINVAL, "%s: %s is no file", name, path);
}

int key_pair_check(const char *name, const char *certificate_path, const char *key_path,
                   struct error *err)
{
    int result = look_at(name, certificate_path, err);

    if (result == 1) {
        result = look_at(name, key_path, err);
    }
    if (result != 1) {
        return result;
    }
    result = 0;
    X509 *certificate = key_pair_certificate(certificate_path);
    EVP_PKEY *key = key_pair_key(key_path);

    if (certificate == NULL) {
        result =
            error_set(err, EINVAL, "%s: %s holds no certificate (PEM)", name, certificate_path);
    } else if (key == NULL) {
        result = error_set(err, EINVAL, "%s: %s holds no private key (PEM, without a pass phrase)",
                           name, key_path);
    } else if (key_file_check(key_path, err) != 0) {
        error_prefix(err, "%s", name);
        result = -err->code;
    } else if (X509_check_private_key(certificate, key) != 1) {
        result =
            error_set(err, EINVAL, "%s: the certificate %s and the key %s do not belong together",
                      name, certificate_path, key_path);
    }
    ERR_clear_error();
    X509_free(certificate);
    EVP_PKEY_free(key);
    return result;
}
