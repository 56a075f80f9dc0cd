#include "base/service/fatal.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOTE_BYTES 512

static const char *program_name = "";
static const char *program_version = "";

/* ---- text by functions that may be called in a handler (signal-safety(7)) ---- */

struct note {
    char text[NOTE_BYTES];
    size_t length;
};

static void put(struct note *note, const char *text)
{
    for (; *text != '\0' && note->length < sizeof(note->text); text++) {
        note->text[note->length++] = *text;
    }
}

static void put_number(struct note *note, uint64_t value, unsigned base)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0 && at > 0);
    put(note, digits + at);
}

static const char *name_of(int number)
{
    switch (number) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    case SIGABRT:
        return "SIGABRT";
    case SIGSYS:
        return "SIGSYS";
    default:
        return "a signal";
    }
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    struct note note = {.length = 0};

    (void)context;
    put(&note, "level=error part=fatal msg=\"");
    put(&note, program_name);
    put(&note, " ");
    put(&note, program_version);
    put(&note, " ends by ");
    put(&note, name_of(number));
    put(&note, "; the last line of its files may be cut\" thread=");
    put_number(&note, (uint64_t)syscall(SYS_gettid), 10);
    if (number == SIGSYS) {
        put(&note, " system_call=");
        put_number(&note, (uint64_t)(unsigned)info->si_syscall, 10);
    } else if (number != SIGABRT) {
        put(&note, " address=0x");
        put_number(&note, (uint64_t)(uintptr_t)info->si_addr, 16);
    }
    put(&note, "\n");
    (void)!write(STDERR_FILENO, note.text, note.length);
    /* SA_RESETHAND: the default is in force again, and the signal comes again on return or now. */
    (void)raise(number);
}

void fatal_install(const char *program, const char *version)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_NODEFER)};

    program_name = program;
    program_version = version;
    action.sa_sigaction = on_fault;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void)sigaction(signals[i], &action, NULL);
    }
#else
    (void)program;
    (void)version;
    (void)on_fault;
#endif
}
