{{/*
What every pod shares: (dict "root" $ "component" "auth" "values" .Values.auth "priority" "control" "uid" 65532).
*/}}
{{- define "odeon.podSpec" -}}
{{- $root := .root -}}
{{- $uid := .uid | default 65532 -}}
serviceAccountName: {{ include "odeon.fullname" $root }}-{{ .account | default .component }}
automountServiceAccountToken: {{ .token | default false }}
# Kubernetes would set ODEON_AUTH_PORT and its like for each Service, beside our own settings.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .priority }}
{{- with include "odeon.priority" (list $root .priority) }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $uid }}
  runAsGroup: {{ $uid }}
  fsGroup: {{ $uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "odeon.selector" $ | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* Name of a priority class, or nothing where none is wanted: (list $ "live"). */}}
{{- define "odeon.priority" -}}
{{- $root := index . 0 -}}
{{- $classes := $root.Values.priorityClasses -}}
{{- if $classes.create -}}
{{- printf "%s-%s" (include "odeon.clusterName" $root) (index . 1) -}}
{{- else -}}
{{- index $classes (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* What Pod Security "restricted" wants of each container, and a read-only root. */}}
{{- define "odeon.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Image of ours with its pull policy: (dict "root" $ "service" "auth"). */}}
{{- define "odeon.imageOf" -}}
image: {{ include "odeon.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{- end -}}

{{/* The environment that all services share: a ConfigMap. */}}
{{- define "odeon.envFrom" -}}
envFrom:
  - configMapRef: {name: {{ include "odeon.fullname" . }}-env}
{{- end -}}

{{/* Probes of a gRPC server: (dict "port" 7001). It serves once it is set up. */}}
{{- define "odeon.grpcProbes" -}}
startupProbe:
  grpc: {port: {{ .port }}}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 300
readinessProbe:
  grpc: {port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  # Of the socket: a drain is no reason to be killed, and says NOT_SERVING. Patient, since on a machine
  # without CPU to spare a restart only costs more.
  tcpSocket: {port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 9
{{- end -}}

{{/* Probes over HTTP: (dict "port" "http" "ready" "/readyz" "live" "/healthz"). */}}
{{- define "odeon.httpProbes" -}}
startupProbe:
  httpGet: {path: {{ .live | quote }}, port: {{ .port }}{{ with .scheme }}, scheme: {{ . }}{{ end }}}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: 300
readinessProbe:
  httpGet: {path: {{ .ready | quote }}, port: {{ .port }}{{ with .scheme }}, scheme: {{ . }}{{ end }}}
  periodSeconds: {{ .every | default 5 }}
  timeoutSeconds: 3
livenessProbe:
  httpGet: {path: {{ .live | quote }}, port: {{ .port }}{{ with .scheme }}, scheme: {{ . }}{{ end }}}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 9
{{- end -}}

{{/* A volume claim: (dict "root" $ "storage" .Values.recorder.persistence). */}}
{{- define "odeon.claim" -}}
accessModes: [ReadWriteOnce]
{{- with .storage.storageClass }}
storageClassName: {{ . }}
{{- end }}
resources:
  requests: {storage: {{ .storage.size }}}
{{- end -}}

{{/* Claims outlive the release unless told otherwise. */}}
{{- define "odeon.claimRetention" -}}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ ternary "Retain" "Delete" .Values.keepOnUninstall }}
  whenScaled: Retain
{{- end -}}

{{/* The service account of a component: (dict "root" $ "component" "auth"). */}}
{{- define "odeon.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "odeon.metadata" . | nindent 2 }}
  {{- with index .root.Values.serviceAccountAnnotations .component }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}

{{/*
A ClusterIP Service: (dict "root" $ "component" "auth" "ports" (dict "grpc" 7001) "headless" false).
*/}}
{{- define "odeon.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "odeon.metadata" . | nindent 2 }}
spec:
  {{- if .headless }}
  clusterIP: None
  publishNotReadyAddresses: true
  {{- end }}
  selector:
    {{- include "odeon.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - {name: {{ $name }}, port: {{ $port }}, targetPort: {{ $name }}{{ if hasPrefix "grpc" $name }}, appProtocol: kubernetes.io/h2c{{ end }}}
    {{- end }}
{{- end -}}

{{/*
A disruption budget for a component of several pods; a single pod has none, it would stop every drain.
*/}}
{{- define "odeon.budget" -}}
{{- if gt (int .values.replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "odeon.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "odeon.selector" . | nindent 6 }}
{{- end }}
{{- end -}}

{{/* Spec of a Service that users reach, of its values. */}}
{{- define "odeon.publicService" -}}
type: {{ .type }}
{{- if ne .type "ClusterIP" }}
# Keeps the address of whoever calls: limits go by it.
externalTrafficPolicy: {{ .externalTrafficPolicy }}
{{- end }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "odeon.nodePort" -}}
{{- if and (index . 1) (ne (index . 0) "ClusterIP") }}
nodePort: {{ index . 1 }}
{{- end }}
{{- end -}}
