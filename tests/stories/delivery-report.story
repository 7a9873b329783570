# The sender asks to be told of delivery.
sites    hq field
weather  calm
seed     12

hq     mail from=boss@hq.test to=watch@field.test notify=success,failure ret=hdrs "Tell me"
then   within 5m   field has "Tell me"
then   within 10m  hq has report delivered for watch@field.test
then   within 5m   everything is delivered
