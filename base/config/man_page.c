#include "base/config/man_page.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* Text of roff: a backslash and a dash are escaped, and no line begins with a command. Of `length`
 * bytes. `is_at_begin`: of a line. */
static void put(FILE *out, const char *text, size_t length, bool is_at_begin)
{
    for (size_t i = 0; i < length; i++) {
        if (is_at_begin && (text[i] == '.' || text[i] == '\'')) {
            (void)fputs("\\&", out);
        }
        if (text[i] == '\\') {
            (void)fputs("\\e", out);
        } else if (text[i] == '-') {
            (void)fputs("\\-", out);
        } else if (text[i] == '\'') {
            (void)fputs("\\(aq", out);
        } else if (text[i] == '~') {
            (void)fputs("\\(ti", out);
        } else if (text[i] == '^') {
            (void)fputs("\\(ha", out);
        } else {
            (void)fputc(text[i], out);
        }
        is_at_begin = text[i] == '\n';
    }
}

static void put_all(FILE *out, const char *text)
{
    put(out, text, strlen(text), true);
}

void man_begin(FILE *out, const char *program, const char *version, const char *about)
{
    (void)fputs(".TH ", out);
    for (const char *at = program; *at != '\0'; at++) {
        (void)fputc(toupper((unsigned char)*at), out);
    }
    (void)fprintf(out, " 1 \"\" \"NetScope %s\" \"NetScope\"\n.nh\n.ad l\n.SH NAME\n", version);
    put_all(out, program);
    (void)fputs(" \\- ", out);
    put(out, about, strlen(about), false);
    (void)fputc('\n', out);
}

void man_section(FILE *out, const char *title)
{
    (void)fprintf(out, ".SH %s\n", title);
}

void man_subsection(FILE *out, const char *title)
{
    (void)fputs(".SS ", out);
    put(out, title, strlen(title), false);
    (void)fputc('\n', out);
}

void man_text(FILE *out, const char *text)
{
    while (*text != '\0') {
        const size_t length = strcspn(text, "\n");

        if (length == 0) {
            (void)fputs(".PP\n", out);
        } else {
            const size_t blank = strspn(text, " ");

            put(out, text + blank, length - (blank < length ? blank : length), true);
            (void)fputc('\n', out);
        }
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

void man_lines(FILE *out, const char *lines)
{
    (void)fputs(".PP\n.nf\n", out);
    put_all(out, lines);
    (void)fputs(".fi\n", out);
}

void man_term(FILE *out, const char *word, const char *meaning)
{
    (void)fputs(".TP\n.B ", out);
    put(out, word, strlen(word), false);
    (void)fputc('\n', out);
    man_text(out, meaning);
}

void man_flags(FILE *out, const struct command_flag *flags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct command_flag *flag = &flags[i];

        (void)fputs(".TP\n", out);
        if (flag->letter != 0) {
            (void)fprintf(out, "\\fB\\-%c\\fR, ", flag->letter);
        }
        (void)fputs("\\fB\\-\\-", out);
        put(out, flag->name, strlen(flag->name), false);
        (void)fputs("\\fR", out);
        if (flag->argument != NULL) {
            (void)fputs(" \\fI", out);
            put(out, flag->argument, strlen(flag->argument), false);
            (void)fputs("\\fR", out);
        }
        (void)fputc('\n', out);
        man_text(out, flag->help);
        if (flag->path != NULL) {
            (void)fputs("(", out);
            put(out, flag->path, strlen(flag->path), false);
            (void)fputs(")\n", out);
        }
    }
}
