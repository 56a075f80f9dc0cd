/* The list is what the C library, libpcap, the gRPC core, librdkafka, libwebsockets and SQLite call
 * after the start, by their groups in systemd's @system-service. */
#include <errno.h>
#include <seccomp.h>
#include <string.h>

#include "base/confine/confine.h"
#include "base/log.h"

static const char *const allowed[] = {
    /* files */
    "access", "chdir", "chmod", "close", "close_range", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod", "fchmodat", "fchown",
    "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents",
    "getdents64", "ioctl", "lseek", "lstat", "mkdir", "mkdirat", "newfstatat", "open", "openat",
    "openat2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "rename", "renameat", "renameat2", "rmdir",
    "sendfile", "splice", "stat", "statfs", "statx", "sync_file_range", "truncate", "umask",
    "unlink", "unlinkat", "utimensat", "write", "writev",
    /* sockets */
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
    "recv", "recvfrom", "recvmmsg", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto",
    "setsockopt", "shutdown", "socket", "socketpair",
    /* waiting */
    "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd", "eventfd2", "pipe", "pipe2", "poll", "ppoll", "pselect6", "select", "timerfd_create",
    "timerfd_gettime", "timerfd_settime", "inotify_add_watch", "inotify_init1", "inotify_rm_watch",
    /* memory */
    "brk", "madvise", "membarrier", "mincore", "mlock", "mlock2", "mmap", "mprotect", "mremap",
    "msync", "munlock", "munmap",
    /* threads and signals */
    "clone", "clone3", "exit", "exit_group", "futex", "futex_waitv", "get_robust_list", "getitimer",
    "gettid", "kill", "nanosleep", "clock_nanosleep", "pause", "restart_syscall", "rseq",
    "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max",
    "sched_get_priority_min", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "sched_setaffinity", "sched_yield", "set_robust_list", "set_tid_address", "setitimer",
    "sigaltstack", "tgkill", "tkill", "wait4", "waitid", "arch_prctl",
    /* who and when */
    "capget", "clock_getres", "clock_gettime", "getcpu", "getegid", "geteuid", "getgid",
    "getgroups", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid",
    "getresuid", "getrlimit", "getrusage", "getsid", "gettimeofday", "getuid", "prctl", "prlimit64",
    "seccomp", "sysinfo", "time", "times", "uname"};

/* What no part of either program ever does: an attempt means that foreign code runs. */
static const char *const forbidden[] = {"execve",
                                        "execveat",
                                        "fork",
                                        "vfork",
                                        "ptrace",
                                        "process_vm_readv",
                                        "process_vm_writev",
                                        "kcmp",
                                        "pidfd_getfd",
                                        "init_module",
                                        "finit_module",
                                        "delete_module",
                                        "kexec_load",
                                        "kexec_file_load",
                                        "bpf",
                                        "perf_event_open",
                                        "userfaultfd",
                                        "io_uring_setup",
                                        "mount",
                                        "umount2",
                                        "fsmount",
                                        "move_mount",
                                        "open_tree",
                                        "pivot_root",
                                        "chroot",
                                        "setns",
                                        "unshare",
                                        "swapon",
                                        "swapoff",
                                        "reboot",
                                        "add_key",
                                        "request_key",
                                        "keyctl",
                                        "acct",
                                        "quotactl",
                                        "iopl",
                                        "ioperm",
                                        "settimeofday",
                                        "clock_settime",
                                        "clock_adjtime",
                                        "adjtimex",
                                        "personality",
                                        "sethostname",
                                        "setdomainname",
                                        "syslog",
                                        "mknod",
                                        "mknodat"};

enum confine_mode confine_mode_of(const char *text)
{
    return strcmp(text, "log") == 0      ? CONFINE_LOG
           : strcmp(text, "refuse") == 0 ? CONFINE_REFUSE
           : strcmp(text, "kill") == 0   ? CONFINE_KILL
                                         : CONFINE_OFF;
}

bool confine_can_filter(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false;
#else
    return true;
#endif
}

/* Calls that this machine's processor does not have are left out. */
static int add(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int number = seccomp_syscall_resolve_name(names[i]);
        const int result =
            number < 0 ? 0 : seccomp_rule_add_exact_array(filter, action, number, 0, NULL);

        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int load(scmp_filter_ctx filter, enum confine_mode mode)
{
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

    if (result == 0) {
        result = add(filter, SCMP_ACT_ALLOW, allowed, sizeof(allowed) / sizeof(allowed[0]));
    }
    if (result == 0 && mode == CONFINE_REFUSE) {
        result =
            add(filter, SCMP_ACT_KILL_PROCESS, forbidden, sizeof(forbidden) / sizeof(forbidden[0]));
    }
    return result == 0 ? seccomp_load(filter) : result;
}

int confine_system_calls(enum confine_mode mode, struct error *err)
{
    if (mode == CONFINE_OFF) {
        return 0;
    }
    scmp_filter_ctx filter = seccomp_init(mode == CONFINE_LOG      ? SCMP_ACT_LOG
                                          : mode == CONFINE_REFUSE ? SCMP_ACT_ERRNO(EPERM)
                                                                   : SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) {
        return error_set(err, ENOMEM, "system call filter: no memory");
    }
    const int result = load(filter, mode);

    seccomp_release(filter);
    if (result != 0) {
        return error_set(err, -result,
                         "system call filter: %s (security.seccomp: off does without)",
                         strerror(-result));
    }
    return 0;
}

void confine_finish(const struct confine_settings *settings)
{
    const enum confine_mode mode = confine_mode_of(settings->seccomp);
    struct confine_state state;
    char capabilities[256];
    struct error err = {0};

    if (mode != CONFINE_OFF && !confine_can_filter()) {
        log_info("security", "this build is for tests: no system call filter", NULL);
    } else if (confine_system_calls(mode, &err) != 0) {
        log_warn("security", err.message, NULL);
    }
    confine_state_read(&state);
    log_info("security", "confined", "user=%u capabilities=%s seccomp=%s", state.user,
             confine_capabilities_text(state.capabilities, capabilities, sizeof(capabilities)),
             state.has_filter ? settings->seccomp : "off");
}
