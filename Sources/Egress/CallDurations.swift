import AfterloginHTTPMessages
import AfterloginObservability

/// How long the calls to one host take, by how they end.
struct CallDurations {
    /// How a call ended, as far as its labels say.
    enum Ending: Hashable {
        case answered(status: Int)
        case failed(HTTPFailure.Kind)
        /// Its destination is away, and its evaluation was ended.
        case away

        /// OpenTelemetry's `http.response.status_code`; empty where no answer came.
        fileprivate var status: String {
            switch self {
            case .answered(let status): String(status)
            case .failed, .away: ""
            }
        }

        /// OpenTelemetry's `error.type`; empty where nothing went wrong.
        fileprivate var error: String {
            switch self {
            case .answered(let status): status >= 400 ? String(status) : ""
            case .failed(let kind): kind.rawValue
            case .away: "away"
            }
        }
    }

    let host: String
    let port: String
    private var durations: [Ending: MetricSeries] = [:]

    init(host: String, port: Int) {
        self.host = host
        self.port = String(port)
    }

    mutating func series(_ ending: Ending, _ metrics: Metrics) -> MetricSeries {
        if let series = self.durations[ending] { return series }
        let series = metrics.series(.callDuration, self.host, self.port, ending.status, ending.error)
        self.durations[ending] = series
        return series
    }
}
