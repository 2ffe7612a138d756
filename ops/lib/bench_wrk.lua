-- SPDX-License-Identifier: Apache-2.0
-- wrk asks for devices at random and prints what it counted as one line of JSON. BENCH_TOKEN and BENCH_DEVICES come from
-- the environment, so that no token stands on a command line.

local devices = tonumber(os.getenv("BENCH_DEVICES"))
local headers = { ["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN") }

function init()
	math.randomseed(os.time())
end

function request()
	return wrk.format("GET", "/v1/devices/bench-" .. math.random(devices), headers)
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format('\n{"requests":%d,"seconds":%.6f,"failed":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
		summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
		latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
