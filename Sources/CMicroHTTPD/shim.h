#pragma once
#include <microhttpd.h>
#include <stdlib.h>
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

/// A body with blanks behind it, of which only so much is sent.
struct afterlogin_mhd_body {
    size_t count;
    uint64_t sent;
    char bytes[];
};

static inline ssize_t afterlogin_mhd_read_body(void *context, uint64_t position, char *buffer, size_t space) {
    const struct afterlogin_mhd_body *body = context;
    if (position >= body->sent) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (space > body->sent - position) space = body->sent - position;
    if (position >= body->count) {
        memset(buffer, ' ', space);
        return (ssize_t)space;
    }
    if (space > body->count - position) space = body->count - position;
    memcpy(buffer, body->bytes + position, space);
    return (ssize_t)space;
}

/// A response that announces `announced` bytes and ends the connection after `sent` of them; NULL without memory.
static inline struct MHD_Response *afterlogin_mhd_make_response(const void *bytes, size_t count, uint64_t announced,
                                                               uint64_t sent) {
    struct afterlogin_mhd_body *body = malloc(sizeof(*body) + count);
    if (body == NULL) return NULL;
    body->count = count;
    body->sent = sent;
    if (count > 0) memcpy(body->bytes, bytes, count);
    struct MHD_Response *response =
        MHD_create_response_from_callback(announced, 64 << 10, &afterlogin_mhd_read_body, body, &free);
    if (response == NULL) free(body);
    return response;
}

static inline int afterlogin_mhd_socket(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static inline void *afterlogin_mhd_socket_context(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}
