#include "collector-ui/enroll.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/key_file.h"
#include "base/service/key_pair.h"

#define EXIT_USAGE   2
#define PATH_BYTES   4096
#define NAME_BYTES   65 /* a common name has 64 at most (RFC 5280, ub-common-name) */
#define ID_BYTES     128
#define NAMES_BYTES  1024 /* alternative names of a certificate */
#define CA_DAYS      3650
#define LEAF_DAYS    825
#define EARLY_S      300
#define SENSOR_USAGE "clientAuth"
#define PORT         50052
#define SERIAL_BITS  127
#define TOKEN_RANDOM 24

struct options {
    const char *name;      /* of a sensor, or "node-*": of all whose ids begin with "node-" */
    char file[NAME_BYTES]; /* what its files are called: without the '*' and what leads to it */
    const char *directory, *ca_directory;
    const char *hosts; /* NULL: not given */
    bool wants_token, wants_help;
};

#define HOSTS_DEFAULT "localhost,127.0.0.1,::1"

struct pair {
    X509 *certificate;
    EVP_PKEY *key;
};

static void free_pair(struct pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
}

static int fail_crypto(struct error *err, const char *what)
{
    char text[256];

    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    ERR_clear_error();
    return error_set(err, EIO, "enroll: %s: %s", what, text);
}

/* ---- files ---- */

static int make_directory(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) != 0 && errno != EEXIST) {
        return error_set(err, errno, "enroll: make %s: %s", path, strerror(errno));
    }
    return 0;
}

/* A new file only its owner can read; one that is there is never overwritten. */
static FILE *create(const char *path, mode_t mode, struct error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (file == NULL) {
        const int code = errno;

        if (fd >= 0) {
            (void)close(fd);
        }
        (void)error_set(err, code, "enroll: write %s: %s%s", path, strerror(code),
                        code == EEXIST ? " (remove it to make a new one)" : "");
    }
    return file;
}

static int write_key(const char *path, EVP_PKEY *key, struct error *err)
{
    FILE *file = create(path, 0600, err);

    if (file == NULL) {
        return -err->code;
    }
    const bool ok = PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;

    return fclose(file) == 0 && ok ? 0 : fail_crypto(err, path);
}

static int write_certificate(const char *path, X509 *certificate, struct error *err)
{
    FILE *file = create(path, 0644, err);

    if (file == NULL) {
        return -err->code;
    }
    const bool ok = PEM_write_X509(file, certificate) == 1;

    return fclose(file) == 0 && ok ? 0 : fail_crypto(err, path);
}

static int write_pair(const char *certificate_path, const char *key_path, const struct pair *pair,
                      struct error *err)
{
    const int result = write_key(key_path, pair->key, err);

    return result == 0 ? write_certificate(certificate_path, pair->certificate, err) : result;
}

static int read_pair(const char *certificate_path, const char *key_path, struct pair *out,
                     struct error *err)
{
    FILE *file = fopen(key_path, "re"); /* not key_pair_key: here somebody may be asked */

    out->certificate = key_pair_certificate(certificate_path);
    out->key = file != NULL ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (out->certificate == NULL || out->key == NULL ||
        X509_check_private_key(out->certificate, out->key) != 1) {
        return error_set(err, EINVAL,
                         "enroll: %s and %s are no certificate and key of a CA (another --ca-dir?)",
                         certificate_path, key_path);
    }
    if (key_file_check(key_path, err) != 0) {
        error_prefix(err, "enroll");
        return -err->code;
    }
    return 0;
}

/* ---- certificates ---- */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    const bool ok = number != NULL && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, 0) == 1 &&
                    BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;

    BN_free(number);
    return ok;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    const bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return ok;
}

/* One that sensors look at begins a little earlier, as their clocks may be behind; a sensor's own
 * when it is made, since that tells it from one that was revoked before. */
static bool fill(X509 *certificate, EVP_PKEY *key, const char *name, long days, long early_s)
{
    X509_NAME *subject = X509_get_subject_name(certificate);

    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -early_s) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL) != NULL &&
           X509_set_pubkey(certificate, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1;
}

/* `issuer` NULL: a CA that signs itself. */
static int make_pair(const char *name, const char *names, const char *usage,
                     const struct pair *issuer, struct pair *out, struct error *err)
{
    out->key = EVP_EC_gen("P-256");
    out->certificate = X509_new();
    if (out->key == NULL || out->certificate == NULL ||
        !fill(out->certificate, out->key, name, issuer != NULL ? LEAF_DAYS : CA_DAYS,
              usage != NULL && strcmp(usage, SENSOR_USAGE) == 0 ? 0 : EARLY_S)) {
        return fail_crypto(err, name);
    }
    X509 *certificate = out->certificate;
    X509 *parent = issuer != NULL ? issuer->certificate : certificate;
    bool ok = X509_set_issuer_name(certificate, X509_get_subject_name(parent)) == 1 &&
              add_extension(certificate, parent, NID_basic_constraints,
                            issuer != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE,pathlen:0") &&
              add_extension(certificate, parent, NID_key_usage,
                            issuer != NULL ? "critical,digitalSignature"
                                           : "critical,keyCertSign,cRLSign") &&
              add_extension(certificate, parent, NID_subject_key_identifier, "hash");

    if (ok && issuer != NULL) {
        ok = add_extension(certificate, parent, NID_authority_key_identifier, "keyid") &&
             add_extension(certificate, parent, NID_ext_key_usage, usage) &&
             add_extension(certificate, parent, NID_subject_alt_name, names);
    }
    ok = ok && X509_sign(certificate, issuer != NULL ? issuer->key : out->key, EVP_sha256()) > 0;
    return ok ? 0 : fail_crypto(err, name);
}

/* ---- what enrolling does ---- */

static int open_ca(const char *directory, struct pair *ca, FILE *out, struct error *err)
{
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];

    (void)snprintf(certificate, sizeof(certificate), "%s/ca.pem", directory);
    (void)snprintf(key, sizeof(key), "%s/ca.key", directory);
    if (access(certificate, F_OK) == 0 || access(key, F_OK) == 0) {
        return read_pair(certificate, key, ca, err);
    }
    if (make_pair("NetScope CA", NULL, NULL, NULL, ca, err) != 0 ||
        write_pair(certificate, key, ca, err) != 0) {
        return -err->code;
    }
    (void)fprintf(out, "# made a private CA: %s (its key %s stays here)\n", certificate, key);
    return 0;
}

/* "localhost,10.0.0.7" -> "DNS:localhost,IP:10.0.0.7". False: a host that is none. */
static bool alternative_names(const char *hosts, char out[NAMES_BYTES])
{
    char copy[NAMES_BYTES];
    char *rest = NULL;
    size_t used = 0;

    if (strlen(hosts) >= sizeof(copy)) {
        return false;
    }
    (void)snprintf(copy, sizeof(copy), "%s", hosts);
    for (char *host = strtok_r(copy, ",", &rest); host != NULL; host = strtok_r(NULL, ",", &rest)) {
        ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);
        const int written = snprintf(out + used, NAMES_BYTES - used, "%s%s:%s", used > 0 ? "," : "",
                                     ip != NULL ? "IP" : "DNS", host);

        ASN1_OCTET_STRING_free(ip);
        if (written < 0 || (size_t)written >= NAMES_BYTES - used ||
            strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:*") !=
                strlen(host)) {
            return false;
        }
        used += (size_t)written;
    }
    return used > 0;
}

static int make_server(const struct options *options, const struct pair *ca, FILE *out,
                       struct error *err)
{
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    char names[NAMES_BYTES];
    const char *hosts = options->hosts != NULL ? options->hosts : HOSTS_DEFAULT;
    struct pair pair = {0};

    (void)snprintf(certificate, sizeof(certificate), "%s/collector.pem", options->ca_directory);
    (void)snprintf(key, sizeof(key), "%s/collector.key", options->ca_directory);
    if (!alternative_names(hosts, names)) {
        return error_set(err, EINVAL, "--host: '%s' is no list of names and addresses", hosts);
    }
    if (access(certificate, F_OK) == 0) {
        if (options->hosts != NULL) {
            (void)fprintf(out,
                          "# %s stays as it is; for other names remove it and %s, then enroll "
                          "again\n",
                          certificate, key);
        }
        return 0;
    }
    int result = make_pair("netscope-collector", names, "serverAuth", ca, &pair, err);
    result = result == 0 ? write_pair(certificate, key, &pair, err) : result;
    free_pair(&pair);
    if (result == 0 && options->wants_token) {
        (void)fprintf(out, "# made the collector's certificate for %s\n", hosts);
    } else if (result == 0) {
        (void)fprintf(out,
                      "# made the collector's certificate for %s; its configuration:\n"
                      "ingest:\n  listen: 0.0.0.0:%d\n  tls_certificate: %s\n  tls_key: %s\n"
                      "  tls_client_ca: %s/ca.pem\n\n",
                      hosts, PORT, certificate, key, options->ca_directory);
    }
    return result;
}

/* The collector as a sensor calls it, as YAML: the first of `hosts`. */
static const char *address_text(const char *hosts, char out[NAMES_BYTES])
{
    const size_t length = hosts != NULL ? strcspn(hosts, ",") : 0;

    if (length == 0 || hosts[0] == '*') {
        (void)snprintf(out, NAMES_BYTES, "HOST:%d", PORT);
    } else if (memchr(hosts, ':', length) != NULL) {
        (void)snprintf(out, NAMES_BYTES, "\"[%.*s]:%d\"", (int)length, hosts, PORT);
    } else {
        (void)snprintf(out, NAMES_BYTES, "%.*s:%d", (int)length, hosts, PORT);
    }
    return out;
}

static bool is_group(const struct options *options)
{
    return options->name[strlen(options->name) - 1] == '*';
}

static const char *plural(const struct options *options)
{
    return is_group(options) ? "s" : "";
}

/* The sensor's id as YAML; of a group what stands for it. */
static const char *id_text(const struct options *options, char out[ID_BYTES])
{
    const int length = (int)strlen(options->name);

    if (is_group(options)) {
        (void)snprintf(out, ID_BYTES, "%.*sNAME   # another NAME for each", length - 1,
                       options->name);
    } else {
        (void)snprintf(out, ID_BYTES, "%s", options->name);
    }
    return out;
}

static int make_sensor(const struct options *options, const struct pair *ca, FILE *out,
                       struct error *err)
{
    char certificate[PATH_BYTES];
    char key[PATH_BYTES];
    char copy[PATH_BYTES];
    char names[NAMES_BYTES];
    char id[ID_BYTES];
    struct pair pair = {0};

    (void)snprintf(certificate, sizeof(certificate), "%s/%s.pem", options->directory,
                   options->file);
    (void)snprintf(key, sizeof(key), "%s/%s.key", options->directory, options->file);
    (void)snprintf(copy, sizeof(copy), "%s/ca.pem", options->directory);
    (void)snprintf(names, sizeof(names), "DNS:%s", options->name);
    int result = make_pair(options->name, names, SENSOR_USAGE, ca, &pair, err);
    result = result == 0 ? write_pair(certificate, key, &pair, err) : result;
    if (result == 0 && access(copy, F_OK) != 0) {
        result = write_certificate(copy, ca->certificate, err);
    }
    free_pair(&pair);
    if (result == 0) {
        (void)fprintf(out,
                      "# copy %s, %s and %s to the sensor%s; its configuration:\n"
                      "sensor:\n  id: %s\ncollector:\n  address: %s\n  ca: %s\n"
                      "  certificate: %s\n  key: %s\n",
                      certificate, key, copy, plural(options), id_text(options, id),
                      address_text(options->hosts, names), copy, certificate, key);
    }
    return result;
}

/* A random token, kept for the collector in CA-DIR/tokens and for the sensor in DIR/NAME.token. */
static int make_token(const struct options *options, const struct pair *ca, FILE *out,
                      struct error *err)
{
    uint8_t random[TOKEN_RANDOM];
    char text[2 * TOKEN_RANDOM + 1];
    char list[PATH_BYTES];
    char path[PATH_BYTES];
    char copy[PATH_BYTES];
    char address[NAMES_BYTES];
    char id[ID_BYTES];

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return fail_crypto(err, "random bytes");
    }
    for (size_t i = 0; i < sizeof(random); i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", random[i]);
    }
    (void)snprintf(list, sizeof(list), "%s/tokens", options->ca_directory);
    (void)snprintf(path, sizeof(path), "%s/%s.token", options->directory, options->file);
    FILE *file = create(path, 0600, err);
    if (file == NULL) {
        return -err->code;
    }
    const bool ok = fprintf(file, "%s\n", text) > 0;
    if (fclose(file) != 0 || !ok) {
        return error_set(err, EIO, "enroll: write %s: %s", path, strerror(errno));
    }
    const int fd = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || dprintf(fd, "%s %s\n", options->name, text) < 0 || close(fd) != 0) {
        return error_set(err, errno, "enroll: write %s: %s", list, strerror(errno));
    }
    (void)snprintf(copy, sizeof(copy), "%s/ca.pem", options->directory);
    if (access(copy, F_OK) != 0 && write_certificate(copy, ca->certificate, err) != 0) {
        return -err->code;
    }
    (void)fprintf(
        out,
        "# the collector's configuration (no tls_client_ca: it asks all for certificates):\n"
        "ingest:\n  listen: 0.0.0.0:%d\n  tls_certificate: %s/collector.pem\n"
        "  tls_key: %s/collector.key\n  tokens_file: %s\n\n"
        "# copy %s and %s to the sensor%s; its configuration:\n"
        "sensor:\n  id: %s\ncollector:\n  address: %s\n  ca: %s\n  token_file: %s\n",
        PORT, options->ca_directory, options->ca_directory, list, path, copy, plural(options),
        id_text(options, id), address_text(options->hosts, address), copy, path);
    return 0;
}

/* ---- command line ---- */

static void print_help(FILE *out)
{
    (void)fputs(
        "netscope-collector enroll NAME: what a sensor and the collector need to know each "
        "other.\n"
        "NAME is its sensor.id. 'NAME-*' is for several: whoever has it may be any sensor whose id "
        "begins so.\n\n"
        "  --dir DIR      where NAME.pem, NAME.key and a copy of ca.pem go (.)\n"
        "  --ca-dir DIR   where the private CA and the collector's certificate are, made when "
        "they\n"
        "                 are not there (as --dir)\n"
        "  --host NAMES   names and addresses of the collector, with commas, for its certificate\n"
        "                 (" HOSTS_DEFAULT ")\n"
        "  --token        a token instead of the sensor's certificate: NAME.token, and a line in "
        "CA-DIR/tokens\n"
        "  -h, --help     print this and exit\n\n"
        "Prints what to put into both configurations. Files that are there are never overwritten.\n"
        "Exit status: 0; 1 a file cannot be written; 2 wrong usage.\n",
        out);
}

static int read_name(struct options *out, struct error *err)
{
    const size_t length = strlen(out->name);
    const size_t plain =
        strspn(out->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    const bool is_whole = plain == length || strcmp(out->name + plain, "*") == 0;
    size_t used = plain;

    while (plain < length && used > 0 && strchr(".-_", out->name[used - 1]) != NULL) {
        used--;
    }
    if (used == 0 || length >= NAME_BYTES || out->name[0] == '.' || !is_whole) {
        return error_set(
            err, EINVAL,
            "enroll: '%s': a sensor's name has 1 to %d letters, digits, '.', '-', '_'; a '*' at "
            "its end, behind at least one letter or digit, stands for all that begin so",
            out->name, NAME_BYTES - 1);
    }
    (void)snprintf(out->file, sizeof(out->file), "%.*s", (int)used, out->name);
    return 0;
}

static int read_options(int argc, char **argv, struct options *out, struct error *err)
{
    static const struct option table[] = {
        {"dir", required_argument, NULL, 'd'},  {"ca-dir", required_argument, NULL, 'c'},
        {"host", required_argument, NULL, 'o'}, {"token", no_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},       {0}};

    *out = (struct options){.directory = "."};
    optind = 1;
    opterr = 0;
    for (int code = 0; (code = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        switch (code) {
        case 'd':
            out->directory = optarg;
            break;
        case 'c':
            out->ca_directory = optarg;
            break;
        case 'o':
            out->hosts = optarg;
            break;
        case 't':
            out->wants_token = true;
            break;
        case 'h':
            out->wants_help = true;
            return 0;
        default:
            (void)error_set(err, EINVAL,
                            "%s: unknown, or without its value (see netscope-collector enroll "
                            "--help)",
                            argv[optind - 1]);
            return -EINVAL;
        }
    }
    if (optind != argc - 1) {
        (void)error_set(err, EINVAL, "enroll: name one sensor, as in its sensor.id");
        return -EINVAL;
    }
    out->name = argv[optind];
    out->ca_directory = out->ca_directory != NULL ? out->ca_directory : out->directory;
    return read_name(out, err);
}

int enroll_run(int argc, char **argv, FILE *out, struct error *err)
{
    struct options options;
    struct pair ca = {0};

    if (read_options(argc, argv, &options, err) != 0) {
        return EXIT_USAGE;
    }
    if (options.wants_help) {
        print_help(out);
        return EXIT_SUCCESS;
    }
    int result = make_directory(options.directory, 0750, err);
    result = result == 0 ? make_directory(options.ca_directory, 0700, err) : result;
    result = result == 0 ? open_ca(options.ca_directory, &ca, out, err) : result;
    result = result == 0 ? make_server(&options, &ca, out, err) : result;
    if (result == 0) {
        result = options.wants_token ? make_token(&options, &ca, out, err)
                                     : make_sensor(&options, &ca, out, err);
    }
    free_pair(&ca);
    if (result != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
