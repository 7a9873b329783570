# Fifty recipients at one site are one message on the radio.
sites    hq field
weather  calm
seed     13

hq     mail to=user{1..50}@field.test size=2000 "To all"
then   within 10m  field has "To all"
then   within 5m   everything is delivered
then   hq sent 1 unit
