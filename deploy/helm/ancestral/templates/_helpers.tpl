{{/* The prefix of all names: "ancestral", or "RELEASE-ancestral" if the release has another name. */}}
{{- define "ancestral.fullname" -}}
{{- if contains "ancestral" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ancestral" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the pods of this release. */}}
{{- define "ancestral.selector" -}}
app.kubernetes.io/name: ancestral
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ancestral.labels" -}}
{{ include "ancestral.selector" . }}
app.kubernetes.io/part-of: ancestral
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Rolls the pods when settings or secrets of the chart change. */}}
{{- define "ancestral.checksum" -}}
{{- printf "%s%s" (include (print .Template.BasePath "/config.yaml") .) (include (print .Template.BasePath "/secrets.yaml") .) | sha256sum -}}
{{- end -}}

{{/* HOST:PORT of Redis, as KEDA reaches it from its own namespace. */}}
{{- define "ancestral.redisAddress" -}}
{{- if .Values.redis.enabled -}}
{{ include "ancestral.fullname" . }}-redis.{{ .Release.Namespace }}.svc:6379
{{- else -}}
{{- if regexMatch "^rediss?[+]" .Values.externalRedis.url -}}
{{ fail "worker.autoscaling.prometheus: KEDA counts the jobs of a cluster, or behind sentinels, by Prometheus (or set worker.autoscaling.enabled=false)" }}
{{- end -}}
{{ required "externalRedis.address: KEDA needs HOST:PORT (or set worker.autoscaling.prometheus, or worker.autoscaling.enabled=false)" .Values.externalRedis.address }}
{{- end -}}
{{- end -}}

{{/* The part of a pod's spec that API and worker share. */}}
{{- define "ancestral.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false  # of a release `ancestral`: ANCESTRAL_API_PORT and others, which are no settings
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "ancestral.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "ancestral.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "ancestral.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "ancestral.envFrom" -}}
envFrom:
  - configMapRef:
      name: {{ include "ancestral.fullname" . }}
{{- end -}}

{{/* What comes from secrets: a URL with a password (that of the chart's own Redis is in the config map), a key. */}}
{{- define "ancestral.secretEnv" -}}
{{- if not .Values.redis.enabled }}
- name: ANCESTRAL_REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.externalRedis.existingSecret | default (printf "%s-redis" (include "ancestral.fullname" .)) }}
      key: url
{{- end }}
{{- with .Values.provenance.existingSecret }}
- name: ANCESTRAL_PROVENANCE_KEY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: key
{{- end }}
{{- end -}}

{{- define "ancestral.mounts" -}}
- name: data
  mountPath: /data
{{- if .Values.models.existingClaim }}
- name: models
  mountPath: /data/models
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "ancestral.volumes" -}}
- name: data
  emptyDir: {}
{{- with .Values.models.existingClaim }}
- name: models
  persistentVolumeClaim:
    claimName: {{ . }}
    readOnly: true
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 4Gi  # at most: an API process signs large files there; an hour of WAV at 48 kHz is 350 MB, twice
{{- end -}}

{{- define "ancestral.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Whether the chart or its user has a file of API keys. */}}
{{- define "ancestral.keysSecret" -}}
{{- if .Values.apiKeys.existingSecret -}}
{{ .Values.apiKeys.existingSecret }}
{{- else if .Values.apiKeys.file -}}
{{ include "ancestral.fullname" . }}-keys
{{- end -}}
{{- end -}}
