export class ApiError extends Error {
  constructor(status, detail, requestId = "", retryAfter = null) {
    super(`${status}: ${detail}`);
    this.name = "ApiError";
    this.status = status;
    this.detail = detail;
    this.requestId = requestId;
    this.retryAfter = retryAfter;
  }
}

export class ConnectionFailed extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "ConnectionFailed";
  }
}

export function fromResponse(status, header, text) {
  let detail = text.slice(0, 200).trim() || "the response has no body";
  try {
    detail = JSON.parse(text).detail ?? detail;
  } catch {
    // Not from the service: a proxy in front of it.
  }
  const after = header("Retry-After") ?? "";
  return new ApiError(status, detail, header("X-Request-ID") ?? "", /^\d+$/.test(after) ? Number(after) : null);
}
