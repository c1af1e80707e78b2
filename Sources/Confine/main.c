/* Takes rights away, then becomes the program that it is given.
 *
 *   afterlogin-confine [options] -- PROGRAM [ARGUMENT ...]
 *
 *   --mode auto|required|off   all that the kernel offers (default); refuse to start without; nothing but limits
 *   --parent PID               the process that must still be the parent (its death kills this one)
 *   --read PATH                a file or folder that may be read; may be repeated; a missing path is skipped
 *   --execute PATH             a file or folder that may be read and executed
 *   --directory PATH           where the program starts
 *   --report FD                where one line says what is in force
 *
 * Descriptors 0 to 4 are passed on, all others are closed. The environment is empty but for TZ.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LAST_DESCRIPTOR 4
/* Calls from this number on (the same on all architectures) came after Linux 5.16; names of later ones are unknown to libraries of that time. */
#define FIRST_LATE_CALL 450
#define LAST_LATE_CALL 600

/* Of later kernels than these headers may know. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#define NET_BIND_AND_CONNECT 3ULL
#define SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS 3ULL

enum mode { AUTO, REQUIRED, OFF };

struct ruleset_attributes {
    __u64 handled_access_fs;
    __u64 handled_access_net;
    __u64 scoped;
};

struct grant {
    const char *path;
    int execute;
};

static char missing[256];

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("afterlogin-confine: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(125);
}

/* What the kernel doesn't offer: an end where it is required, else a word in the report. */
static void lacks(enum mode mode, const char *what)
{
    if (mode == REQUIRED) fail("confinement is required, and %s is missing here", what);
    if (missing[0]) strncat(missing, ", ", sizeof missing - strlen(missing) - 1);
    strncat(missing, what, sizeof missing - strlen(missing) - 1);
}

static void bind_to_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) fail("PR_SET_PDEATHSIG: %s", strerror(errno));
    /* It may have died before the line above. */
    if (parent && getppid() != parent) fail("the parent is gone");
}

static void limit_process(void)
{
    /* A process group of its own, where whoever started this did not see to it. */
    setsid();
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    /* The worker has raised its own; Node needs about forty, and rules have no sockets of the kernel's. */
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        if (files.rlim_max > 1024) files.rlim_max = 1024;
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Threads are counted for the whole user: the worker has a few dozen, a host about a dozen. An end to those without end. */
    struct rlimit threads;
    if (!getrlimit(RLIMIT_NPROC, &threads)) {
        if (threads.rlim_max > 4096) threads.rlim_max = 4096;
        threads.rlim_cur = threads.rlim_max;
        setrlimit(RLIMIT_NPROC, &threads);
    }
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        if (write(file, "1000", 4) < 0) { /* A container may forbid it: then the kernel chooses as ever. */ }
        close(file);
    }
    umask(077);
    /* The worker may ignore or block signals; the program starts afresh. */
    sigset_t empty;
    sigemptyset(&empty);
    sigprocmask(SIG_SETMASK, &empty, NULL);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
}

/* Whether the next program could have a capability again: what root gets by an execve is what is in one of these sets. */
static int may_have_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, sets)) return 1;
    const uint32_t kept = 1U << CAP_DAC_READ_SEARCH;
    if ((sets[0].inheritable | sets[0].permitted) & ~kept || sets[1].inheritable | sets[1].permitted) return 1;
    const int is_root = !getuid() || !geteuid();
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1) return 1;
        /* Of others than root the bounding set is only a bound: no_new_privs keeps them from everything in it. */
        if (is_root && capability != CAP_DAC_READ_SEARCH && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) return 1;
    }
    return 0;
}

/* Root keeps nothing that root may do but to read: a network interface can be taken down through any socket, for one. */
static void drop_capabilities(enum mode mode)
{
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    /* What is not in the bounding set is gone with the execve; it can be changed only while there is the right to. */
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (capability != CAP_DAC_READ_SEARCH) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    /* Those that are inherited outlast an execve whatever the bounding set says. */
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (!syscall(SYS_capget, &header, sets)) {
        const uint32_t kept = sets[0].permitted & 1U << CAP_DAC_READ_SEARCH;
        sets[0] = (struct __user_cap_data_struct){kept, kept, 0};
        sets[1] = (struct __user_cap_data_struct){0, 0, 0};
        syscall(SYS_capset, &header, sets);
    }
    /* What was refused above is seen here, whatever it was. */
    if (may_have_capabilities()) lacks(mode, "capabilities");
}

/* Returns the version of Landlock that is in force, or 0. */
static int confine_files(enum mode mode, const struct grant *grants, int count)
{
    int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        lacks(mode, "landlock");
        return 0;
    }
    const __u64 read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    __u64 all = read | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR
        | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR
        | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO
        | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (version >= 2) all |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3) all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (version >= 5) all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    struct ruleset_attributes attributes = {all, 0, 0};
    size_t size = sizeof attributes.handled_access_fs;
    if (version >= 4) {
        attributes.handled_access_net = NET_BIND_AND_CONNECT;
        size += sizeof attributes.handled_access_net;
    }
    if (version >= 6) {
        attributes.scoped = SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS;
        size += sizeof attributes.scoped;
    }
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
    if (ruleset < 0) fail("landlock_create_ruleset: %s", strerror(errno));
    for (int index = 0; index < count; index++) {
        int file = open(grants[index].path, O_PATH | O_CLOEXEC);
        struct stat status;
        if (file < 0 || fstat(file, &status)) {
            if (file >= 0) close(file);
            continue;
        }
        __u64 access = read | (grants[index].execute ? LANDLOCK_ACCESS_FS_EXECUTE : 0);
        if (!S_ISDIR(status.st_mode)) access &= ~(__u64)LANDLOCK_ACCESS_FS_READ_DIR;
        struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = file};
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0))
            fail("landlock_add_rule %s: %s", grants[index].path, strerror(errno));
        close(file);
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0)) fail("landlock_restrict_self: %s", strerror(errno));
    close(ruleset);
    return version;
}

static void deny(scmp_filter_ctx filter, int error, const char *name)
{
    int call = seccomp_syscall_resolve_name(name);
    /* Not of this machine, or among the late calls. */
    if (call == __NR_SCMP_ERROR || call < 0) return;
    int result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(error), call, 0);
    if (result && result != -EDOM) fail("seccomp rule for %s: %s", name, strerror(-result));
}

static void require(int result, const char *what)
{
    if (result) fail("seccomp rule for %s: %s", what, strerror(-result));
}

/* Denies a call with such a number (of 32 bits) in an argument. */
static void deny_argument(scmp_filter_ctx filter, int call, const char *name, unsigned argument, uint32_t mask, uint32_t value)
{
    require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1,
                             SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, value)), name);
}

/* Answers EPERM to everything that reaches beyond this process. Returns 1 when in force. */
static int confine_calls(enum mode mode)
{
    static const char *const denied[] = {
        "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "socketcall", "ptrace", "process_vm_readv",
        "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
        "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "mount", "umount", "umount2", "pivot_root", "chroot",
        "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr", "unshare", "setns",
        "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key", "fork", "vfork", "tkill", "rt_sigqueueinfo",
        "rt_tgsigqueueinfo", "setpriority", "ioprio_set", "sched_setaffinity", "sched_setattr", "sched_setparam",
        "sched_setscheduler", "migrate_pages", "move_pages", "shmget", "shmat", "shmctl", "shmdt", "semget", "semop",
        "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "execveat", "chmod",
        "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat",
        "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
        "truncate", "ftruncate", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "init_module",
        "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct",
        "quotactl", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl",
        "ioperm", "personality", "open_by_handle_at", "name_to_handle_at", "fanotify_init", "lookup_dcookie", "nfsservctl",
        "vmsplice", "memfd_secret", "landlock_create_ruleset",
        "quotactl_fd", "sync", "syncfs", "vhangup", "flock", "modify_ldt", "io_setup",
        /* Landlock does not ask who watches: names of files would be seen anywhere. */
        "inotify_init", "inotify_init1", "inotify_add_watch",
        /* Memory that is nobody's resident memory: the watchdog would not see it. */
        "memfd_create",
    };
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter) fail("seccomp_init failed");
    /* Calls of a foreign architecture (32 bits, x32) end the process; the default of libseccomp ends a thread, and leaves the others. */
    seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A search tree instead of a list of all. */
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t index = 0; index < sizeof denied / sizeof *denied; index++) deny(filter, EPERM, denied[index]);
    /* Its flags lie in memory, which a filter can't read; the C library falls back to clone. */
    deny(filter, ENOSYS, "clone3");
    const uint64_t thread = 0x00010000; /* CLONE_THREAD */
    require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, thread, 0)), "clone");
    /* Signals to this very process only: the filter is made after the process id is known, and execve keeps it. */
    const uint64_t self = (uint64_t)getpid();
    require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_NE, self)), "kill");
    require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self)), "tgkill");
    require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0)), "prlimit64");
    /* Typing into a terminal (TIOCSTI, TIOCLINUX); what any socket may ask of the network, and whom it signals (0x89..). */
    deny_argument(filter, SCMP_SYS(ioctl), "ioctl", 1, 0xffffffff, 0x5412);
    deny_argument(filter, SCMP_SYS(ioctl), "ioctl", 1, 0xffffffff, 0x541C);
    deny_argument(filter, SCMP_SYS(ioctl), "ioctl", 1, 0xffffff00, 0x8900);
    /* A descriptor that signals another process, or keeps others from a file. */
    static const uint32_t commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY};
    for (size_t index = 0; index < sizeof commands / sizeof *commands; index++)
        deny_argument(filter, SCMP_SYS(fcntl), "fcntl", 1, 0xffffffff, commands[index]);
    /* Outliving the parent. */
    deny_argument(filter, SCMP_SYS(prctl), "prctl", 0, 0xffffffff, PR_SET_PDEATHSIG);
    /* As on an older kernel, which every program can do with. */
    for (int call = FIRST_LATE_CALL; call <= LAST_LATE_CALL; call++)
        require(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0), "late calls");
    int result = seccomp_load(filter);
    seccomp_release(filter);
    if (!result) return 1;
    lacks(mode, "seccomp");
    return 0;
}

static void close_other_descriptors(void)
{
    if (syscall(SYS_close_range, LAST_DESCRIPTOR + 1, ~0U, 0) == 0) return;
    long last = sysconf(_SC_OPEN_MAX);
    for (long descriptor = LAST_DESCRIPTOR + 1; descriptor < (last > 65536 ? last : 65536); descriptor++)
        close((int)descriptor);
}

static int number(const char *text, const char *option)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < 0 || value > 0x7fffffff) fail("%s needs a number, not %s", option, text);
    return (int)value;
}

int main(int count, char **words)
{
    enum mode mode = AUTO;
    pid_t parent = 0;
    const char *directory = "/";
    int report = -1, granted = 0, index = 1;
    struct grant *grants = calloc((size_t)count, sizeof *grants);
    if (!grants) fail("no memory");
    for (; index < count && strcmp(words[index], "--"); index += 2) {
        const char *option = words[index], *value = index + 1 < count ? words[index + 1] : NULL;
        if (!value) fail("%s needs a value", option);
        if (!strcmp(option, "--mode")) {
            mode = !strcmp(value, "auto") ? AUTO : !strcmp(value, "required") ? REQUIRED : !strcmp(value, "off") ? OFF
                : (fail("--mode is auto, required or off, not %s", value), OFF);
        } else if (!strcmp(option, "--parent")) {
            parent = number(value, option);
        } else if (!strcmp(option, "--directory")) {
            directory = value;
        } else if (!strcmp(option, "--report")) {
            report = number(value, option);
        } else if (!strcmp(option, "--read") || !strcmp(option, "--execute")) {
            grants[granted++] = (struct grant){value, !strcmp(option, "--execute")};
        } else {
            fail("there is no option %s", option);
        }
    }
    if (index + 1 >= count) fail("usage: afterlogin-confine [options] -- PROGRAM [ARGUMENT ...]");

    bind_to_parent(parent);
    limit_process();
    if (chdir(directory)) fail("cannot go to %s: %s", directory, strerror(errno));
    int landlock = 0, seccomp = 0;
    if (mode != OFF) {
        drop_capabilities(mode);
        landlock = confine_files(mode, grants, granted);
        if (landlock > 0 && landlock < 4) lacks(mode == REQUIRED ? AUTO : mode, "landlock network rules");
        seccomp = confine_calls(mode);
    } else {
        lacks(mode, "landlock");
        lacks(mode, "seccomp");
    }
    if (report >= 0) {
        char landlock_text[32];
        snprintf(landlock_text, sizeof landlock_text, "landlock abi %d", landlock);
        dprintf(report, "confinement %s%s%s; missing: %s\n", landlock ? landlock_text : "", landlock && seccomp ? ", " : "", seccomp ? "seccomp" : "",
                missing[0] ? missing : "-");
    }
    close_other_descriptors();
    char zone[256];
    const char *timezone = getenv("TZ");
    char *environment[] = {NULL, NULL};
    if (timezone && snprintf(zone, sizeof zone, "TZ=%s", timezone) < (int)sizeof zone) environment[0] = zone;
    execve(words[index + 1], words + index + 1, environment);
    fail("%s: %s", words[index + 1], strerror(errno));
}
