"""The Lambda functions, one package each: HTTP or an event in, one call to the library, HTTP
out."""
