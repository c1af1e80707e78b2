// What Swift's Glibc module lacks, or can't express well: malloc's options, eventfd, close-on-exec pairs, a process with five descriptors.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Records are read on one thread and let go on another. An arena for each thread (glibc's default: eight a core) holds on to what others have
 * freed, and so does an arena that large buffers come from. A backlog of 20,000 logins took 88 MB with these, 101 MB without. */
static inline void shim_share_memory_among_threads(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

/* No process of the same user may look at this one's memory, environment and descriptors (/proc/PID/mem, environ, fd; ptrace): where
 * the kernel offers no Landlock, a rule host is such a process. There are no core dumps either. An exec undoes it. */
static inline int shim_refuse_inspection(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

/* glibc's since 2.26, and only shown to who asks for GNU's extensions before anybody else includes spawn.h. */
#ifndef POSIX_SPAWN_SETSID
#define POSIX_SPAWN_SETSID 0x80
#endif

static inline int shim_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

/* Closed on exec, and above what a child is given, so that duplicating one descriptor can't overwrite another. */
static inline int shim_lift(int descriptor)
{
    int lifted = fcntl(descriptor, F_DUPFD_CLOEXEC, 10);
    close(descriptor);
    return lifted;
}

/* A stream socket pair: ours is not blocking, the child's is. */
static inline int shim_socket_pair(int *ours, int *theirs)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return errno;
    *ours = shim_lift(pair[0]);
    *theirs = shim_lift(pair[1]);
    if (*ours < 0 || *theirs < 0) return EMFILE;
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    int size = 1 << 20;
    setsockopt(*ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(*theirs, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return 0;
}

/* A pipe from the child to us: our end is not blocking. */
static inline int shim_pipe(int *ours, int *theirs)
{
    int pair[2];
    if (pipe(pair)) return errno;
    *ours = shim_lift(pair[0]);
    *theirs = shim_lift(pair[1]);
    if (*ours < 0 || *theirs < 0) return EMFILE;
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return 0;
}

/* Starts a program with descriptors 0 (nothing) and 1 to 4 as given; the environment is ours. In a session of its own from the first
 * instruction on: Ctrl-C in our terminal begins a drain, in which rules still run. Returns an error number. */
static inline int shim_spawn(char *const *words, char *const *environment, int output, int errors, int frames, int watchdog, pid_t *process)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, errors, 2);
    posix_spawn_file_actions_adddup2(&actions, frames, 3);
    posix_spawn_file_actions_adddup2(&actions, watchdog, 4);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    int error = posix_spawn(process, words[0], &actions, &attributes, words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static inline void shim_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

/* Waits for a child that was killed. Returns the raw status, or -1. */
static inline int shim_reap(pid_t process)
{
    int status;
    while (waitpid(process, &status, 0) < 0) if (errno != EINTR) return -1;
    return status;
}
static inline int shim_exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -1; }
static inline int shim_exit_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }
