-- For wrk: prints what came of it in one line, times in microseconds. With the argument `unique` each
-- request asks a path of its own.

function init(arguments)
  if arguments[1] ~= "unique" then return end
  local stem = string.format("%s/%d-%d-", wrk.path, os.time(), math.floor(os.clock() * 1e6))
  local asked = 0
  request = function()
    asked = asked + 1
    return wrk.format(nil, stem .. asked)
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("\nresult %d %d %d %d %d\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
