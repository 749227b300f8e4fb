apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Values.application }}-{{ .AppStack.envName }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Values.application }}
  template:
    metadata:
      labels:
        app: {{ .Values.application }}
        msePilotCreateAppName: {{ .Values.application }}
        msePilotAutoEnable: 'on'
        {{ if eq .AppStack.envName "gray" }}alicloud.service.tag: gray{{ end }}
    spec:
      containers:
        - name: backend
          image: {{ .AppStack.image.backend }}
          env:
            - name: MARK
              value: '{{ if eq .AppStack.envName "gray" }}gray{{ end }}'
