#pragma once
#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/// Declared by glibc only with `_GNU_SOURCE`, which Swift's importer does not set.
extern int memfd_create(const char *name, unsigned int flags);

static inline int afterlogin_curl_memory_file(const char *name) { return memfd_create(name, 1 /* MFD_CLOEXEC */); }

// Swift does not see variadic functions; the parentheses step around the type checking macros.

static inline CURLcode afterlogin_curl_set_number(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode afterlogin_curl_set_text(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode afterlogin_curl_set_pointer(CURL *easy, CURLoption option, const void *value) {
    return (curl_easy_setopt)(easy, option, value);
}

/// The PEM file of the certificate authorities that libcurl was built to trust, or NULL.
static inline const char *afterlogin_curl_system_authorities(void) {
    return curl_version_info(CURLVERSION_NOW)->cainfo;
}

/// The body is copied; it may hold any bytes.
static inline CURLcode afterlogin_curl_set_body(CURL *easy, const void *bytes, size_t count) {
    (curl_easy_setopt)(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)count);
    return (curl_easy_setopt)(easy, CURLOPT_COPYPOSTFIELDS, bytes);
}

/// The functions that a transfer calls back, all with the same context.
static inline void afterlogin_curl_set_callbacks(CURL *easy, void *context, curl_write_callback header_arrived,
                                                 curl_write_callback body_arrived,
                                                 curl_opensocket_callback socket_wanted,
                                                 curl_prereq_callback request_ready) {
    (curl_easy_setopt)(easy, CURLOPT_PRIVATE, context);
    (curl_easy_setopt)(easy, CURLOPT_HEADERDATA, context);
    (curl_easy_setopt)(easy, CURLOPT_WRITEDATA, context);
    (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETDATA, context);
    (curl_easy_setopt)(easy, CURLOPT_PREREQDATA, context);
    (curl_easy_setopt)(easy, CURLOPT_HEADERFUNCTION, header_arrived);
    (curl_easy_setopt)(easy, CURLOPT_WRITEFUNCTION, body_arrived);
    (curl_easy_setopt)(easy, CURLOPT_OPENSOCKETFUNCTION, socket_wanted);
    (curl_easy_setopt)(easy, CURLOPT_PREREQFUNCTION, request_ready);
}

/// Connections outlive the transfer that opened them, so what closes a socket has a context of its own.
static inline void afterlogin_curl_set_close(CURL *easy, void *context, curl_closesocket_callback socket_unwanted) {
    (curl_easy_setopt)(easy, CURLOPT_CLOSESOCKETDATA, context);
    (curl_easy_setopt)(easy, CURLOPT_CLOSESOCKETFUNCTION, socket_unwanted);
}

static inline long afterlogin_curl_get_number(CURL *easy, CURLINFO info) {
    long value = 0;
    return (curl_easy_getinfo)(easy, info, &value) == CURLE_OK ? value : 0;
}

static inline curl_off_t afterlogin_curl_get_large(CURL *easy, CURLINFO info) {
    curl_off_t value = 0;
    return (curl_easy_getinfo)(easy, info, &value) == CURLE_OK ? value : 0;
}

static inline void *afterlogin_curl_get_context(CURL *easy) {
    char *value = NULL;
    return (curl_easy_getinfo)(easy, CURLINFO_PRIVATE, &value) == CURLE_OK ? value : NULL;
}

static inline void afterlogin_curl_multi_set_number(CURLM *multi, CURLMoption option, long value) {
    (curl_multi_setopt)(multi, option, value);
}

static inline void afterlogin_curl_multi_set_callbacks(CURLM *multi, void *context,
                                                       curl_socket_callback interest_changed,
                                                       curl_multi_timer_callback timer_changed) {
    (curl_multi_setopt)(multi, CURLMOPT_SOCKETDATA, context);
    (curl_multi_setopt)(multi, CURLMOPT_TIMERDATA, context);
    (curl_multi_setopt)(multi, CURLMOPT_SOCKETFUNCTION, interest_changed);
    (curl_multi_setopt)(multi, CURLMOPT_TIMERFUNCTION, timer_changed);
}

/// A finished transfer and how it ended, or NULL.
static inline CURL *afterlogin_curl_take_finished(CURLM *multi, CURLcode *result) {
    int rest;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &rest)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        *result = message->data.result;
        return message->easy_handle;
    }
    return NULL;
}

/// A share of what one thread's transfers may have in common, besides what their multi handle shares.
static inline CURLSH *afterlogin_curl_make_share(void) {
    CURLSH *share = curl_share_init();
    if (share != NULL) (curl_share_setopt)(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return share;
}
