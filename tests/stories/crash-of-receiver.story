# The receiver crashes in the middle of a transfer and resumes.
sites    hq field
weather  calm
seed     10

hq     mail to=watch@field.test size=10K kind=random "Half received"
wait   30s
field  crash for 1m
wait   90s
field  crash after 40 outputs
then   within 1h   field has "Half received"
then   within 10m  everything is delivered
