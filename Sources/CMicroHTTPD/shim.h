#pragma once
#include <microhttpd.h>
#include <string.h>

/// What `afterlogin_mhd_start` needs; variadic options are not visible to Swift.
struct afterlogin_mhd_options {
    int listen_socket;
    unsigned int connection_limit;
    unsigned int idle_seconds;
    const char *private_key;
    const char *certificate;
    void *context;
    MHD_AccessHandlerCallback request_arrived;
    MHD_RequestCompletedCallback request_ended;
    MHD_NotifyConnectionCallback connection_changed;
};

/// Leaves percent escapes alone: whoever reads the target decodes it, once.
static inline size_t afterlogin_mhd_keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
    (void)context;
    (void)connection;
    return strlen(text);
}

static inline struct MHD_Daemon *afterlogin_mhd_start(const struct afterlogin_mhd_options *options) {
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)options->private_key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)options->certificate},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const int encrypted = options->private_key != NULL && options->certificate != NULL;
    return MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (encrypted ? MHD_USE_TLS : 0), 0, NULL, NULL,
        options->request_arrived, options->context,
        MHD_OPTION_LISTEN_SOCKET, options->listen_socket,
        MHD_OPTION_CONNECTION_LIMIT, options->connection_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, options->idle_seconds,
        MHD_OPTION_NOTIFY_COMPLETED, options->request_ended, options->context,
        MHD_OPTION_NOTIFY_CONNECTION, options->connection_changed, options->context,
        MHD_OPTION_UNESCAPE_CALLBACK, &afterlogin_mhd_keep_escapes, NULL,
        MHD_OPTION_ARRAY, encrypted ? tls : none,
        MHD_OPTION_END);
}

static inline int afterlogin_mhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static inline void *afterlogin_mhd_socket_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}
