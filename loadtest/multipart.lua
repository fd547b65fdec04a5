-- wrk script: POST an image as COUNT parts of a form, named FIELD; prints one line of JSON.
local handle = assert(io.open(assert(os.getenv("IMAGE"), "set IMAGE to an image file"), "rb"))
local mark = "----clickbait-bench"
local part = "--" .. mark .. '\r\nContent-Disposition: form-data; name="' .. (os.getenv("FIELD") or "file")
  .. '"; filename="image.jpg"\r\nContent-Type: image/jpeg\r\n\r\n' .. handle:read("*a") .. "\r\n"
handle:close()
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. mark
wrk.body = part:rep(tonumber(os.getenv("COUNT") or "1")) .. "--" .. mark .. "--\r\n"

done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('{"requests": %d, "failed": %d, "rps": %.1f, "p50": %.1f, "p95": %.1f, "p99": %.1f}\n',
    summary.requests, failed, summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3))
end
