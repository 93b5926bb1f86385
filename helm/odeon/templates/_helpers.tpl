{{/*
Name of the release's objects: the release's own name where it says odeon already. With "-transcoder-"
and a pool's name of 20 characters it still is a label's value.
*/}}
{{- define "odeon.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else if contains "odeon" .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-odeon" .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Name of an object that no namespace holds; two releases of one name may be in two namespaces. */}}
{{- define "odeon.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "odeon.fullname" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What finds the pods of a component: (dict "root" $ "component" "auth"). */}}
{{- define "odeon.selector" -}}
app.kubernetes.io/name: odeon
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "odeon.labels" -}}
{{ include "odeon.selector" . }}
app.kubernetes.io/part-of: odeon
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name, namespace and labels of an object: (dict "root" $ "component" "auth" "name" "..."). */}}
{{- define "odeon.metadata" -}}
name: {{ .name | default (printf "%s-%s" (include "odeon.fullname" .root) .component) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "odeon.labels" . | nindent 2 }}
{{- end -}}

{{/* An image of ours: (dict "root" $ "service" "auth"). A digest wins over the tag. */}}
{{- define "odeon.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := printf "%s/%s" $image.repository .service -}}
{{- if $image.registry -}}{{- $name = printf "%s/%s" $image.registry $name -}}{{- end -}}
{{- $digest := index $image.digests .service -}}
{{- if $digest -}}
{{- printf "%s:%s@%s" $name ($image.tag | default .root.Chart.AppVersion) $digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* host:port of a service in this namespace: (list $ "auth" 7001). */}}
{{- define "odeon.address" -}}
{{- printf "%s-%s:%v" (include "odeon.fullname" (index . 0)) (index . 1) (index . 2) -}}
{{- end -}}

{{/* Where a secret is: (list $ "apiKey"). */}}
{{- define "odeon.secretRef" -}}
{{- $secret := index (index . 0).Values.secrets (index . 1) -}}
secretKeyRef:
  name: {{ $secret.existingSecret | default (printf "%s-secrets" (include "odeon.fullname" (index . 0))) }}
  key: {{ $secret.key }}
{{- end -}}

{{/* ODEON_NATS_URL, which has the password in it and so is put together in the pod. */}}
{{- define "odeon.natsEnv" -}}
{{- if .Values.nats.enabled -}}
- name: NATS_PASSWORD
  valueFrom:
    {{- include "odeon.secretRef" (list . "natsPassword") | nindent 4 }}
- name: ODEON_NATS_URL
  value: nats://odeon:$(NATS_PASSWORD)@{{ include "odeon.address" (list . "nats" 4222) }}
{{- else if .Values.nats.existingSecret -}}
- name: ODEON_NATS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.nats.existingSecret }}
      key: {{ .Values.nats.existingSecretKey }}
{{- else -}}
- name: ODEON_NATS_URL
  value: {{ .Values.nats.url }}
{{- end -}}
{{- end -}}

{{/* The URL of the database of a service: (dict "root" $ "service" "auth"). */}}
{{- define "odeon.databaseEnv" -}}
{{- $postgresql := .root.Values.postgresql -}}
{{- $name := printf "ODEON_%s_DATABASE_URL" (upper .service) -}}
{{- if $postgresql.enabled -}}
- name: POSTGRESQL_PASSWORD
  valueFrom:
    {{- include "odeon.secretRef" (list .root "postgresqlPassword") | nindent 4 }}
- name: {{ $name }}
  value: postgresql://odeon:$(POSTGRESQL_PASSWORD)@{{ include "odeon.address" (list .root "postgresql" 5432) }}/{{ .service }}
{{- else -}}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $postgresql.existingSecret }}
      key: {{ index $postgresql (printf "%sUrlKey" .service) }}
{{- end -}}
{{- end -}}

{{- define "odeon.serviceSecretEnv" -}}
- name: ODEON_SERVICE_SECRET
  valueFrom:
    {{- include "odeon.secretRef" (list . "service") | nindent 4 }}
{{- end -}}

{{/* Who a pod is. */}}
{{- define "odeon.podEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end -}}

{{/* What a pod needs that the operator may ask to drain: the name of its set. */}}
{{- define "odeon.memberEnv" -}}
- {name: ODEON_POOL, value: {{ . }}}
- name: ODEON_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: ODEON_POD_UID
  valueFrom: {fieldRef: {fieldPath: metadata.uid}}
{{- end -}}

{{/* Environment that values add: (dict "values" .Values.auth "root" $). */}}
{{- define "odeon.extraEnv" -}}
{{- range $name, $value := .values.env }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{/* Whatever is in the ConfigMap goes into the template, so that a change of it reaches the pods. */}}
{{- define "odeon.podAnnotations" -}}
checksum/config: {{ include "odeon.sharedEnv" .root | sha256sum | trunc 16 }}
{{- with .values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
A pool of values by its name; what it does not say is taken from `default`: (list $ "edgePools" "asia").
*/}}
{{- define "odeon.pool" -}}
{{- $pools := index (index . 0).Values (index . 1) -}}
{{- mergeOverwrite (deepCopy (index $pools "default")) (deepCopy (index $pools (index . 2))) | toYaml -}}
{{- end -}}

{{/* Keys of the secrets that are not somebody's own, as a list: what the Job has to make. */}}
{{- define "odeon.generatedKeys" -}}
{{- $keys := list -}}
{{- range $name, $secret := .Values.secrets -}}
{{- $foreign := or (and (eq $name "natsPassword") (not $.Values.nats.enabled)) (and (eq $name "postgresqlPassword") (not $.Values.postgresql.enabled)) -}}
{{- if not (or $foreign $secret.existingSecret) -}}{{- $keys = append $keys $secret.key -}}{{- end -}}
{{- end -}}
{{- toYaml $keys -}}
{{- end -}}
