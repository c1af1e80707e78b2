import AfterloginCMicroHTTPD
import AfterloginSystem
import Glibc

/// The `MHD_Daemon` pointer, and the C functions that it calls.
@safe struct DaemonHandle: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let callbacks: Unmanaged<Daemon>

    /// Starts the thread; the listening socket is libmicrohttpd's from here on.
    init(
        configuration: HTTPServer.Configuration,
        socket: ListenSocket,
        callbacks: Daemon
    ) throws(HTTPServer.ListenError) {
        unsafe self.callbacks = Unmanaged.passRetained(callbacks)
        var options = unsafe afterlogin_mhd_options()
        unsafe options.listen_socket = socket.descriptor
        // Closing one takes a turn of the server's thread; until then it is counted.
        let limit = configuration.maxConnections * (configuration.makesRoom ? 2 : 1)
        unsafe options.connection_limit = UInt32(clamping: limit)
        unsafe options.idle_seconds = UInt32(clamping: max(1, configuration.idleTimeout.components.seconds))
        unsafe options.context = self.callbacks.toOpaque()
        unsafe options.request_arrived = requestArrived
        unsafe options.request_ended = requestEnded
        unsafe options.connection_changed = connectionChanged
        let pointer: OpaquePointer?
        if let key = configuration.privateKey, let certificate = configuration.certificate {
            unsafe pointer = key.withCString { key in
                unsafe certificate.withCString { certificate in
                    unsafe options.private_key = key
                    unsafe options.certificate = certificate
                    return unsafe afterlogin_mhd_start(&options)
                }
            }
        } else {
            unsafe pointer = afterlogin_mhd_start(&options)
        }
        guard let pointer = unsafe pointer else {
            unsafe self.callbacks.release()
            let reason =
                configuration.certificate == nil ? "no thread or descriptor left" : "is the certificate readable?"
            throw HTTPServer.ListenError(description: "cannot serve on \(configuration.listen): \(reason)")
        }
        unsafe self.pointer = pointer
    }

    /// Accepts no more connections.
    func stopListening() {
        let descriptor = unsafe MHD_quiesce_daemon(self.pointer)
        guard descriptor >= 0 else { return }
        // The thread may be waiting on it, and keep it listening past its closing.
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    /// Ends every connection and the thread, and waits for it; no connection may be suspended.
    func stop() {
        unsafe MHD_stop_daemon(self.pointer)
        unsafe self.callbacks.release()
    }
}

private func requestArrived(
    context: UnsafeMutableRawPointer?,
    connection: OpaquePointer?,
    path: UnsafePointer<CChar>?,
    method: UnsafePointer<CChar>?,
    version: UnsafePointer<CChar>?,
    upload: UnsafePointer<CChar>?,
    uploadBytes: UnsafeMutablePointer<Int>?,
    isKnown: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context = unsafe context, let handle = unsafe connection, let path = unsafe path,
        let method = unsafe method,
        let uploadBytes = unsafe uploadBytes, let isKnown = unsafe isKnown,
        let socketContext = unsafe afterlogin_mhd_socket_context(handle)
    else { return .NO }
    let connection = unsafe Unmanaged<ServerConnection>.fromOpaque(socketContext).takeUnretainedValue()
    if unsafe isKnown.pointee == nil {
        unsafe isKnown.pointee = socketContext
        return connection.headersArrived()
    }
    let count = unsafe uploadBytes.pointee
    if count > 0 {
        unsafe uploadBytes.pointee = 0
        return unsafe connection.bodyArrived(UnsafeRawBufferPointer(start: upload, count: count))
    }
    if let response = connection.takeResponse() { return connection.queue(response) }
    let daemon = unsafe Unmanaged<Daemon>.fromOpaque(context).takeUnretainedValue()
    return connection.requestArrived(
        method: unsafe String(cString: method),
        path: unsafe String(cString: path),
        daemon: daemon
    )
}

private func requestEnded(
    context: UnsafeMutableRawPointer?,
    connection: OpaquePointer?,
    isKnown: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    reason: MHD_RequestTerminationCode
) {
    guard let socketContext = unsafe isKnown?.pointee else { return }
    unsafe Unmanaged<ServerConnection>.fromOpaque(socketContext).takeUnretainedValue().requestEnded()
}

private func connectionChanged(
    context: UnsafeMutableRawPointer?,
    connection: OpaquePointer?,
    socketContext: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    change: MHD_ConnectionNotificationCode
) {
    guard let context = unsafe context, let handle = unsafe connection, let socketContext = unsafe socketContext else {
        return
    }
    let daemon = unsafe Unmanaged<Daemon>.fromOpaque(context).takeUnretainedValue()
    if change == .CONNECTION_NOTIFY_STARTED {
        // The only place that runs on the server's thread before any handler; libmicrohttpd names it "MHD-single".
        NamedThread.nameCurrent("http.server")
        let connection = unsafe ServerConnection(handle, configuration: daemon.configuration)
        unsafe socketContext.pointee = Unmanaged.passRetained(connection).toOpaque()
        daemon.connectionOpened(connection)
    } else if let opaque = unsafe socketContext.pointee {
        let connection = unsafe Unmanaged<ServerConnection>.fromOpaque(opaque).takeRetainedValue()
        unsafe socketContext.pointee = nil
        daemon.connectionClosed(connection)
    }
}
