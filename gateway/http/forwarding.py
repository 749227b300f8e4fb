"""Fields in which a proxy tells a service about the client and about the request as it was.

Services and their frameworks trust them, no matter who sent them. So they pass from trusted peers alone: from anybody else
they would be a way to choose one's own address, user, certificate, scheme, host or path (RFC 7239 §8.1, RFC 9440 §4).

A name is in the table because of the reader named beside it. Which of its spellings count is `lines`' business. What a
client may well say of itself (`X-HTTP-Method-Override`, `X-Request-Id`, fields of an application's own) is not here.
"""

from __future__ import annotations

from typing import Final

FORWARDING: Final[dict[bytes, str]] = {
    # The client's address.
    b"forwarded": "RFC 7239; Spring, Jetty, Rack",
    b"x-forwarded": "PHP applications",
    b"forwarded-for": "the same",
    b"x-client-ip": "Java and .NET applications, Azure",
    b"x-cluster-client-ip": "Rackspace, Zeus",
    b"x-originating-ip": "Exchange",
    b"x-proxyuser-ip": "Google",
    b"true-client-ip": "Akamai, Cloudflare; Go's chi",
    b"x-true-client-ip": "the same",
    b"client-ip": "Rails, PHP",
    b"http-client-ip": "Java applications, which look for it under the name that CGI gives it",
    b"http-x-forwarded-for": "the same",
    b"remote-addr": "the same",
    b"proxy-client-ip": "WebLogic's plug-ins; Java applications",
    b"do-connecting-ip": "DigitalOcean",
    b"incap-client-ip": "Imperva",
    b"ali-cdn-real-ip": "Alibaba Cloud CDN",
    b"cdn-src-ip": "Alibaba Cloud CDN",
    # The scheme, host and path that the client used.
    b"x-scheme": "ingress-nginx; Flask applications",
    b"x-url-scheme": "uWSGI and Flask applications",
    b"front-end-https": "Exchange, Django applications",
    b"x-https": "PHP applications",
    b"x-ssl": "PHP applications",
    b"x-proto": "Java and PHP applications",
    b"x-appservice-proto": "Azure App Service",
    b"x-host": "PHP applications",
    b"x-http-host-override": "Joomla, PHP applications",
    b"disguised-host": "Azure App Service",
    b"was-default-hostname": "Azure App Service",
    b"x-original-url": "IIS's URL Rewrite; Symfony (CVE-2018-14773), ASP.NET",
    b"x-rewrite-url": "the same",
    b"x-waws-unencoded-url": "Azure App Service",
    b"x-original-uri": "ingress-nginx, for authentication services",
    b"x-original-method": "the same",
    b"x-original-host": "ASP.NET Core, Azure Application Gateway",
    b"x-original-for": "ASP.NET Core",
    b"x-original-proto": "ASP.NET Core",
    b"x-original-prefix": "ASP.NET Core",
    b"x-original-forwarded-for": "ingress-nginx",
    b"x-script-name": "WSGI applications",
    b"script_name": "gunicorn",
    b"path_info": "gunicorn",
    # The client's certificate, and who the client is.
    b"client-cert": "RFC 9440",
    b"client-cert-chain": "RFC 9440",
    b"x-client-cert": "ASP.NET Core",
    b"x-client-verify": "nginx, for applications",
    b"x-client-dn": "nginx, for applications",
    b"ssl_cipher": "Tomcat's SSLValve",
    b"ssl_cipher_usekeysize": "Tomcat's SSLValve",
    b"ssl_session_id": "Tomcat's SSLValve",
    b"remote-user": "Apache; Django's RemoteUserMiddleware, Authelia",
    b"remote-name": "Authelia",
    b"remote-email": "Authelia",
    b"remote-groups": "Authelia",
    b"x-userinfo": "APISIX and Kong, after OpenID Connect",
    b"x-apigateway-api-userinfo": "Google's API Gateway",
    b"x-endpoint-api-userinfo": "Google's Cloud Endpoints",
    b"x-credential-identifier": "Kong",
    b"x-anonymous-consumer": "Kong",
    # What only a server in front says to the program behind it.
    b"proxy": "CGI, which makes it HTTP_PROXY (CVE-2016-5385)",
    b"x-sendfile-type": "Rack and Symfony, which then tell where files are",
    b"x-middleware-subrequest": "Next.js, which then skips its middleware (CVE-2025-29927)",
}
"""By lower-case name: who writes or trusts it."""

FAMILIES: Final[dict[bytes, str]] = {
    b"x-forwarded-": "-For, -Proto, -Host, -Port, -Prefix, -Ssl, -Scheme, -Server, -By, -User, -Client-Cert, -Uri and their like",
    b"x-real-": "nginx's realip module, Go's chi: X-Real-IP, and -Port, -Scheme, -Host with it",
    b"wl-proxy-": "WebLogic's plug-ins; Java applications: WL-Proxy-Client-IP, -SSL, -Client-Cert",
    b"akamai-": "Akamai",
    b"fastly-": "Fastly: Fastly-Client-IP, Fastly-SSL",
    b"fly-": "Fly.io: Fly-Client-IP, Fly-Forwarded-Proto",
    b"x-nf-": "Netlify: X-NF-Client-Connection-IP",
    b"cf-": "Cloudflare: CF-Connecting-IP, CF-Visitor, Cf-Access-…",
    b"cloudfront-": "CloudFront",
    b"x-amzn-oidc-": "AWS load balancers: the user",
    b"x-amzn-mtls-": "AWS load balancers: the certificate",
    b"x-appengine-": "Google App Engine",
    b"x-goog-authenticated-user-": "Google's Identity-Aware Proxy",
    b"x-goog-iap-": "Google's Identity-Aware Proxy",
    b"x-azure-": "Azure Front Door",
    b"x-arr-": "IIS's Application Request Routing: X-ARR-ClientCert, X-ARR-SSL",
    b"x-ms-client-principal": "Azure's authentication: the user",
    b"x-ms-token-": "Azure's authentication: the user's tokens",
    b"ms-aspnetcore-": "ASP.NET Core behind IIS",
    b"x-vercel-": "Vercel",
    b"x-envoy-": "Envoy: X-Envoy-External-Address, X-Envoy-Original-Path, retries and timeouts",
    b"x-remote-": "X-Remote-User, -Group and -Extra of Kubernetes' authenticating proxies, -IP, -Addr",
    b"x-auth-request-": "oauth2-proxy",
    b"x-authenticated-": "Kong",
    b"x-consumer-": "Kong, APISIX",
    b"x-mse-": "MSE and Higress: X-Mse-Consumer",
    b"x-webauth-": "Grafana",
    b"x-authentik-": "authentik",
    b"x-pomerium-": "Pomerium",
    b"tailscale-": "Tailscale",
    b"ssl-client-": "ingress-nginx, HAProxy",
    b"ssl_client_": "Apache; Tomcat's SSLValve",
    b"x-ssl-": "X-SSL-Client-Cert, -Verify and their like: HAProxy, nginx",
    b"x-accel-": "Rack (CVE-2026-34830) and Symfony: X-Accel-Mapping",
}
"""By what their names begin with: who writes or trusts them."""
