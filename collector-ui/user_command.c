#include "collector-ui/user_command.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "collector-ui/access/user_file.h"
#include "collector-ui/settings.h"

#define EXIT_USAGE 2

struct wish {
    bool is_token; /* of `token` */
    const char *verb, *name, *role, *file, *config;
    bool from_stdin, wants_help;
    const char *noun; /* "user", "token" */
};

static void print_help(FILE *out)
{
    (void)fputs(
        "netscope-collector user: who may log in at the dashboard and REST.\n"
        "netscope-collector token: bearer tokens with a role, for programs.\n\n"
        "  netscope-collector user add NAME --role ROLE [--password-stdin]\n"
        "  netscope-collector user password NAME [--password-stdin]\n"
        "  netscope-collector user role NAME --role ROLE\n"
        "  netscope-collector user remove NAME\n"
        "  netscope-collector user list\n"
        "  netscope-collector token add NAME --role ROLE      prints the token, once\n"
        "  netscope-collector token role | remove | list      as of users\n\n"
        "  --role ROLE       viewer: reads; operator: also acknowledges and silences alerts, sees\n"
        "                    packets; admin: also settings\n"
        "  --password-stdin  the password is the first line of stdin, not asked for at the "
        "terminal\n"
        "  --config PATH     settings of the collector, whose web.auth.users_file is changed\n"
        "  --file PATH       the file itself\n"
        "  -h, --help        print this and exit\n\n"
        "The file holds hashes alone and is replaced as a whole. A collector that runs takes it "
        "within a second;\nsessions of whoever has changed end.\n"
        "Exit status: 0; 1 the file cannot be changed; 2 wrong usage.\n",
        out);
}

/* ---- command line ---- */

static int refuse_usage(const struct wish *wish, const char *what, struct error *err)
{
    return error_set(err, EINVAL, "%s: %s (see netscope-collector %s --help)", wish->noun, what,
                     wish->noun);
}

static int check_wish(const struct wish *wish, int words, struct error *err)
{
    static const char *const verbs[] = {"add", "role", "remove", "list", "password"};
    const size_t count = ARRAY_COUNT(verbs) - (wish->is_token ? 1 : 0);
    bool is_known = false;

    for (size_t i = 0; wish->verb != NULL && i < count; i++) {
        is_known |= strcmp(verbs[i], wish->verb) == 0;
    }
    if (!is_known) {
        return refuse_usage(wish, "say add, role, remove or list", err);
    }
    const bool is_list = strcmp(wish->verb, "list") == 0;
    const bool wants_role = strcmp(wish->verb, "add") == 0 || strcmp(wish->verb, "role") == 0;

    if (words != (is_list ? 1 : 2)) {
        return refuse_usage(wish, is_list ? "list takes no name" : "one name is needed", err);
    }
    if (wants_role != (wish->role != NULL)) {
        return refuse_usage(wish,
                            wants_role ? "--role viewer, operator or admin is needed"
                                       : "--role goes with add and role alone",
                            err);
    }
    if (wish->role != NULL && role_find(wish->role) == NULL) {
        return refuse_usage(wish, "roles are viewer, operator and admin", err);
    }
    return is_list ? 0 : user_name_check(wish->name, err);
}

static int read_wish(int argc, char **argv, struct wish *out, struct error *err)
{
    static const struct option table[] = {
        {"role", required_argument, NULL, 'r'},   {"file", required_argument, NULL, 'f'},
        {"config", required_argument, NULL, 'c'}, {"password-stdin", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},         {0}};

    *out = (struct wish){.is_token = strcmp(argv[0], "token") == 0, .noun = argv[0]};
    optind = 1;
    opterr = 0;
    for (int code = 0; (code = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
        switch (code) {
        case 'r':
            out->role = optarg;
            break;
        case 'f':
            out->file = optarg;
            break;
        case 'c':
            out->config = optarg;
            break;
        case 'p':
            out->from_stdin = true;
            break;
        case 'h':
            out->wants_help = true;
            return 0;
        default:
            return error_set(err, EINVAL,
                             "%s: unknown, or without its value (see netscope-collector %s --help)",
                             argv[optind - 1], out->noun);
        }
    }
    out->verb = optind < argc ? argv[optind] : NULL;
    out->name = optind + 1 < argc ? argv[optind + 1] : NULL;
    return check_wish(out, argc - optind, err);
}

/* The file of --file, or of the settings. */
static int find_file(const struct wish *wish, char **environment, char out[4096], struct error *err)
{
    static struct collector_settings_all settings;
    char *argv[] = {(char[]){"netscope-collector"}, NULL};
    struct collector_command command = {
        .argc = 1, .argv = argv, .environment = environment, .config_path = wish->config};

    if (wish->file != NULL) {
        (void)snprintf(out, 4096, "%s", wish->file);
        return 0;
    }
    AUTO(config) config = collector_settings_new(&settings, err);
    if (config == NULL || collector_command_load(&command, config, NULL, 0, err) != 0) {
        return -err->code;
    }
    (void)snprintf(out, 4096, "%s", settings.web.users_file);
    return out[0] != '\0' ? 0
                          : refuse_usage(wish,
                                         "web.auth.users_file is not set; say --config PATH with "
                                         "settings that do, or --file PATH",
                                         err);
}

/* ---- passwords ---- */

static int read_password(const struct wish *wish, char out[PASSWORD_BYTES_MAX], struct error *err)
{
    char prompt[USER_NAME_BYTES + 32];

    if (wish->from_stdin) {
        if (fgets(out, PASSWORD_BYTES_MAX, stdin) == NULL) {
            return error_set(err, EINVAL, "user: stdin holds no password");
        }
        if (strchr(out, '\n') == NULL && feof(stdin) == 0) {
            return error_set(err, EINVAL, "user: the password is longer than %d bytes",
                             PASSWORD_BYTES_MAX - 2);
        }
        out[strcspn(out, "\r\n")] = '\0';
    } else {
        (void)snprintf(prompt, sizeof(prompt), "Password for %s: ", wish->name);
        if (isatty(STDIN_FILENO) != 1) {
            return error_set(err, EINVAL,
                             "user: no terminal to ask for the password at; say --password-stdin");
        }
        if (EVP_read_pw_string_min(out, 0, PASSWORD_BYTES_MAX - 1, prompt, 1) != 0) {
            return error_set(err, EINVAL, "user: no password, or not the same one twice");
        }
    }
    if (strlen(out) < PASSWORD_BYTES_MIN) {
        return error_set(err, EINVAL, "user: a password has %d characters or more",
                         PASSWORD_BYTES_MIN);
    }
    return 0;
}

/* What was made of a token goes to `token`, to be shown when the file holds it. */
static int make_hash(const struct wish *wish, struct user_line *line,
                     char token[PASSWORD_TOKEN_BYTES], struct error *err)
{
    char password[PASSWORD_BYTES_MAX] = "";

    if (wish->is_token) {
        return password_new_token(token, line->hash, err);
    }
    int result = read_password(wish, password, err);

    result = result == 0 ? password_hash(password, line->hash, err) : result;
    explicit_bzero(password, sizeof(password));
    return result;
}

/* ---- what is wished ---- */

static void list(const struct wish *wish, const struct user_file *file, FILE *out)
{
    for (uint32_t i = 0; i < file->count; i++) {
        const struct user_line *line = &file->lines[i];

        if (line->is_token == wish->is_token) {
            (void)fprintf(out, "%-24s %s\n", line->name, line->role->name);
        }
    }
}

static int change(const struct wish *wish, struct user_file *file, char token[PASSWORD_TOKEN_BYTES],
                  struct error *err)
{
    assert(wish->name != NULL); /* check_wish */
    struct user_line *line = user_file_find(file, wish->name);

    if (strcmp(wish->verb, "add") == 0) {
        if (line != NULL || file->count == USERS_MAX) {
            return line != NULL
                       ? error_set(err, EEXIST, "%s is there already, as a %s", wish->name,
                                   line->is_token ? "token" : "user")
                       : error_set(err, ENOSPC, "%d users and tokens are there: no more fit",
                                   USERS_MAX);
        }
        line = &file->lines[file->count];
        *line = (struct user_line){.role = role_find(wish->role), .is_token = wish->is_token};
        (void)snprintf(line->name, sizeof(line->name), "%s", wish->name);
        if (make_hash(wish, line, token, err) != 0) {
            return -err->code;
        }
        file->count++;
        return 0;
    }
    if (line == NULL || line->is_token != wish->is_token) {
        return error_set(err, ENOENT, "no %s is called %s", wish->noun, wish->name);
    }
    if (strcmp(wish->verb, "password") == 0) {
        return make_hash(wish, line, token, err);
    }
    if (strcmp(wish->verb, "role") == 0) {
        line->role = role_find(wish->role);
        return 0;
    }
    memmove(line, line + 1, (size_t)(&file->lines[--file->count] - line) * sizeof(*line));
    return 0;
}

static int run(const struct wish *wish, const char *path, FILE *out, struct error *err)
{
    static struct user_file file;
    assert(wish->verb != NULL); /* check_wish */
    char token[PASSWORD_TOKEN_BYTES] = "";
    const bool is_adding = strcmp(wish->verb, "add") == 0;
    const int lock = user_file_lock(path, err);

    if (lock < 0) {
        return lock;
    }
    int result = user_file_read(path, &file, err);

    if (result == -ENOENT && is_adding) { /* the first one makes the file */
        error_clear(err);
        result = 0;
    }
    if (result == 0 && strcmp(wish->verb, "list") == 0) {
        list(wish, &file, out);
    } else if (result == 0) {
        result = change(wish, &file, token, err);
        result = result == 0 ? user_file_write(path, &file, err) : result;
    }
    user_file_unlock(lock);
    if (result == 0 && token[0] != '\0') {
        (void)fprintf(out, "%s\n", token);
    }
    explicit_bzero(token, sizeof(token));
    return result;
}

int user_command_run(int argc, char **argv, char **environment, FILE *out, struct error *err)
{
    struct wish wish;
    char path[4096];

    if (read_wish(argc, argv, &wish, err) != 0) {
        return EXIT_USAGE;
    }
    if (wish.wants_help) {
        print_help(out);
        return EXIT_SUCCESS;
    }
    if (find_file(&wish, environment, path, err) != 0) {
        return EXIT_USAGE;
    }
    if (run(&wish, path, out, err) != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
