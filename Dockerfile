# syntax=docker/dockerfile:1
# Every image of Odeon: docker build --build-arg SERVICE=room -t odeon/room:0.1.0 .
# SERVICE is one of auth room signaling transcoder recorder analytics gateway edge operator cli. The steps are those of
# images/, which docs/operations/images.md also runs without Docker; images/services.toml says what each image holds.
ARG SERVICE

FROM debian:bookworm AS base
RUN apt-get update && apt-get install -y --no-install-recommends mmdebstrap ca-certificates
COPY images/base.sh /images/base.sh
RUN /images/base.sh /root-of-image

FROM rust:1-bookworm AS rust
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY libs/media libs/media
COPY services/edge services/edge
RUN cargo build --locked --release -p odeon-edge -p odeon-media-py

FROM node:22-bookworm AS web
WORKDIR /source/web
COPY web ./
RUN npm ci --no-audit --no-fund && npm run build

FROM python:3.11-bookworm AS service
ARG SERVICE
WORKDIR /source
COPY requirements.txt ./
COPY images images
COPY proto/gen/python proto/gen/python
COPY libs libs
COPY services services
COPY operator operator
COPY cli cli
COPY loadtest loadtest
COPY --from=rust /source/target/release/odeon-edge .venv/bin/odeon-edge
COPY --from=rust /source/target/release/libodeon_media_core_py.so libs/media/odeon_media/_core.abi3.so
COPY --from=web /source/web/app/dist web/app/dist
RUN python images/install.py image "$SERVICE" /root-of-image

FROM scratch
ARG SERVICE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="odeon-$SERVICE" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=base /root-of-image /
COPY --from=service /root-of-image /
ENV HOME=/tmp \
    ODEON_DATA_DIR=/var/lib/odeon \
    ODEON_GATEWAY_WEB_ROOT=/usr/share/odeon/web \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["odeon-service"]
