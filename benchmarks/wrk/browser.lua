-- Browser-like heads, about 800 bytes, each different; every other one is for the gray lane.
local n = 0
request = function()
  n = n + 1
  local id = string.format("%08x", n * 2654435761 % 4294967296)
  return "GET /A/items/" .. id .. "?page=" .. n .. "&group=" .. (n % 2 == 0 and "gray" or "x") .. " HTTP/1.1\r\n" ..
    "Host: shop.example.com\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n" ..
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" ..
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" ..
    "Referer: https://shop.example.com/catalogue/" .. id .. "\r\nAccept-Encoding: gzip, deflate, br\r\n" ..
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" ..
    "Cookie: sid=" .. id .. id .. id .. id .. "; theme=dark; uid=u-" .. n .. "; consent=all; ab=" .. id .. "\r\n" ..
    "If-None-Match: W/\"" .. id .. "\"\r\n\r\n"
end
